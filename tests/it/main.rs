//! Integration tests: a module for each topic.
