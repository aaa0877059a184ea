//! What an attacker tries.
