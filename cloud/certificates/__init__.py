"""The certificate authority of terminals and broker: claims, certificates, renewal, revocation."""
