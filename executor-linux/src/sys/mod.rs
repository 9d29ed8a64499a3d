//! The system calls that nix lacks: one function for each, no policy.

pub(crate) mod pidfd;
pub(crate) mod xattr;
