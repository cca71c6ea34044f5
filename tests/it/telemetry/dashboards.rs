//! Dashboard and rules.
