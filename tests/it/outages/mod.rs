//! What fails, made to fail under load: no wrong verdict, nothing lost or doubled at the upstream, no panic, memory
//! flat. Each row prints what was answered and how long it took to recover.

mod clerk;
mod clocks;
mod gateway;
mod kind;
mod load;
mod place;
mod row;
mod workers;
