//! Whole-program tests of the command line.

mod original;
mod original_selftest;
