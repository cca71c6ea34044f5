//! The second client: the sync controller, with the provider in a pod of its own.
