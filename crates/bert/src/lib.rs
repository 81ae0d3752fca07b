//! The forward pass of BERT on the processor, as sentence embeddings need it: token ids in, one vector for each text out.
//!
//! It is a package of its own for one reason: arithmetic has to be compiled with all optimisations even where the rest is
//! built to be tried out, and Cargo sets that for whole packages.
//!
//! Texts are laid one behind another, without padding: a short one costs what it needs, and its vector is the same to the
//! bit, whichever texts go with it. Nothing here starts a thread: who wants two cores calls from two threads.

mod config;
mod encoder;
mod matrix;
mod pointwise;
mod weights;

pub use config::Config;
pub use encoder::{Encoder, Refused, Scratch};
pub use weights::LoadError;

#[cfg(test)]
mod tests;
