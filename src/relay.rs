//! A sidecar that keeps audits for writers in any language, and brings them to the server.
