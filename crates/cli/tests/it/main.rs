//! Whole-program tests of the command line.

mod examples;
mod original;
mod original_selftest;
