//! The resource groups of a task: made with every limit that was asked for, read, changed, killed and removed.
//!
//! Version 1, version 2 and both beside each other are one thing here: [`Hierarchies`] says where each controller lives,
//! and a table says how each limit is written there. No process is moved: a child enters by itself, through the open
//! files and directories of an [`Entry`]. Groups that are not ours are read and never changed.
//!
//! - `mount`, `hierarchy`: what there is; `place`: where a task's group goes; `name`: what it is called
//! - `controller`, `limits`, `agree`, `device`: the limits, pure; `settle`: one write and its proof
//! - `dir`: one open group; `group`: all of a task's
//! - `usage`, `update`, `kill`, `remove`: what is done with them; `support`: what can be; `error`: what goes wrong

mod agree;
mod controller;
mod device;
mod dir;
mod error;
mod group;
mod hierarchy;
mod kill;
mod limits;
mod mount;
mod name;
mod place;
mod remove;
mod settle;
mod support;
mod update;
mod usage;

pub use controller::{Controller, Version};
pub use dir::Dir;
pub use error::{
    BadDevice, BadName, Failure, Halfway, KillGroup, Lacking, LimitDiffers, MakeGroup, NoPlace, OpenGroup, ReadGroup,
    ReadHierarchies, RemoveGroup, SetLimit,
};
pub use group::{Entry, Group, Groups};
pub use hierarchy::{Hierarchies, Hierarchy};
pub use name::GroupName;
pub use support::support;
pub use usage::Reading;
