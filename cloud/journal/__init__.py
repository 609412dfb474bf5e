"""Raw batches as received, the positions of their streams, and what reads them onward."""
