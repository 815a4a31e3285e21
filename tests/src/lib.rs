//! End-to-end tests of FedShield live in `tests/tests/`; what several of them need is here.
