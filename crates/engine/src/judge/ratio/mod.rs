//! `ratio`: a sequential test on counts.
//!
//! What every evaluation adds to a numerator and a denominator goes into sums of log-likelihood
//! ratios (Page 1954; Bernoulli CUSUM: Reynolds and Stoumbos 1999). Few observations prove little,
//! and a small change that lasts proves more and more. [`base`] learns what is usual, [`sums`] adds
//! up the evidence, [`text`] says it in words.

mod base;
mod params;
mod strategy;
mod sums;
mod text;

pub(super) use params::RatioParams;
pub(super) use strategy::build;
