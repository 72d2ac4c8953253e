//! What the transport must do, over real sockets of the loopback interface.

mod delivery;
mod hello_tests;
mod hostile;
mod limits_tests;
mod liveness_tests;
mod puppet;
mod rig;
