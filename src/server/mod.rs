//! The process: listen, serve, drain; the admin port.

mod drain;
mod listen;
mod serve;

pub(crate) use drain::{Drain, DrainTrigger, Drained, drain};
pub(crate) use listen::{ListenError, bind};
pub(crate) use serve::{ConnectionInfo, ServeLimits, serve};
