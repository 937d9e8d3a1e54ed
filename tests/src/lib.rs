//! Suites that need more than one room.
