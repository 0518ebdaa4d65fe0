//! What fails, made to fail under load: no wrong verdict, nothing lost or doubled at the upstream, no panic, memory
//! flat. Each row prints what was answered and how long it took to recover.

mod apart;
mod clerk;
mod clocks;
mod fleet;
mod gateway;
mod kind;
mod load;
mod people;
mod place;
mod redis;
mod replica;
mod row;
mod workers;
