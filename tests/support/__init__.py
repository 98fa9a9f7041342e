"""What the end-to-end tests talk to and through: fake origins, strict clients, certificates, and weir's process itself."""
