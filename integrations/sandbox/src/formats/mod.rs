//! Codes, signatures and notations that know nothing of the sandbox.

pub(crate) mod brcode;
pub(crate) mod code128;
pub(crate) mod documents;
pub(crate) mod html;
pub(crate) mod signature;
pub(crate) mod time;
