//! The process: listen, serve, drain; the admin port.

mod admin;
mod drain;
mod gateway;
mod listen;
mod request_id;
mod serve;

pub(crate) use admin::Admin;
pub(crate) use drain::{Drain, DrainTrigger, Drained, drain};
pub(crate) use gateway::{Gateway, Target};
pub(crate) use listen::{ListenError, bind};
pub(crate) use serve::{ConnectionInfo, ServeLimits, serve};
