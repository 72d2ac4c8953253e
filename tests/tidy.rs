//! The layout as a test.
