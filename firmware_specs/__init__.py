"""The contract between a terminal and the cloud: pure, without input or output, importing nothing else of ours."""
