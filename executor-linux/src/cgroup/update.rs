//! Other limits for a task that runs: all of them, or none.
//!
//! The same table as at the start. What the kernel refuses halfway is taken back, so a task never runs under half of a
//! change. What is absent in the request stays as it is, swap included.

use executor_api::units::Bytes;
use executor_api::{Feature, Resources};

use super::agree::{Rule, line_of};
use super::controller::{Controller, Version};
use super::device::devices;
use super::error::{Failure, Halfway, Lacking, LimitDiffers};
use super::group::{Group, Groups};
use super::limits::{Act, Ask, Setting, asked, settings};
use super::settle::settle;

impl Groups {
    /// Sets the limits of `resources` that groups keep, each read back.
    ///
    /// To less memory than is in use version 1 says `EBUSY` where it cannot be taken back; version 2 takes it back by
    /// killing for memory.
    ///
    /// # Errors
    ///
    /// `Lacking` for a limit that the task has no group for, and for another parent; `SetLimit`, `LimitDiffers`,
    /// `ReadGroup`, `BadDevice`: nothing has changed then. `Halfway` where that could not be had either.
    pub fn update(&self, resources: &Resources) -> Result<(), Failure> {
        if resources.cgroup_parent.is_some() {
            return Err(unchangeable(Feature::CgroupParent, "the groups of a task stay where they were made"));
        }
        let mut resources = resources.clone();
        if resources.memory.is_some() && resources.swap.is_none() {
            resources.swap = self.swap()?;
        }
        let devices = devices(&resources.io)?;
        let ask = Ask { resources: &resources, devices: &devices };
        for row in asked(&ask) {
            if self.of(row.controller).is_none() {
                let why = "the task was started without a group that counts it";
                return Err(unchangeable(row.feature, why));
            }
        }
        let homes: Vec<_> = Controller::ALL
            .into_iter()
            .filter_map(|controller| Some((controller, self.of(controller)?.version())))
            .collect();
        let mut settings = settings(&ask, &homes);
        settings.retain(|setting| setting.value.is_some());
        self.put_growth_first(&mut settings)?;
        self.change(&settings)
    }

    /// Carries out `settings`, or takes back what was.
    fn change(&self, settings: &[Setting]) -> Result<(), Failure> {
        let mut done: Vec<Before<'_>> = Vec::new();
        for setting in settings {
            let Some(group) = self.of(setting.row.controller) else { continue };
            let text = group.dir().read_if_there(setting.file.name)?;
            // Before the attempt: the kernel may keep another value than the one that it is given.
            if let (Some(text), true) = (text, setting.file.act != Act::Expect) {
                done.push(Before { group, file: setting.file.name, back: back(setting, &text), text });
            }
            if let Err(cause) = settle(group, setting) {
                return Err(take_back(&done, cause));
            }
        }
        Ok(())
    }

    /// Memory and swap together may never be below memory: the sum grows first, and shrinks last.
    fn put_growth_first(&self, settings: &mut [Setting]) -> Result<(), Failure> {
        const SUM: &str = "memory.memsw.limit_in_bytes";
        let Some(at) = settings.iter().position(|setting| setting.file.name == SUM) else { return Ok(()) };
        let now = self.of(Controller::Memory).map(|group| group.dir().read_if_there(SUM)).transpose()?.flatten();
        let next = settings[at].value.as_deref().and_then(|value| value.parse::<u64>().ok());
        if now.and_then(|now| now.parse::<u64>().ok()) < next {
            settings[..=at].rotate_right(1);
        }
        Ok(())
    }

    /// How much swap the task may have; none where it is not limited, or nobody counts it.
    fn swap(&self) -> Result<Option<Bytes>, Failure> {
        let Some(group) = self.of(Controller::Memory) else { return Ok(None) };
        let number = |text: Option<String>| text.and_then(|text| text.parse::<u64>().ok());
        let read = |file| group.dir().read_if_there(file).map(number);
        let swap = match group.version() {
            Version::V2 => read("memory.swap.max")?,
            Version::V1 => {
                let (sum, memory) = (read("memory.memsw.limit_in_bytes")?, read("memory.limit_in_bytes")?);
                sum.zip(memory).map(|(sum, memory)| sum.saturating_sub(memory))
            }
        };
        Ok(swap.map(Bytes::new))
    }
}

fn unchangeable(feature: Feature, why: &str) -> Failure {
    let fix = "stop the task, and start it with the limit".to_owned();
    Lacking { feature, why: why.to_owned(), fix }.into()
}

/// What a file said before it was written.
struct Before<'a> {
    group: &'a Group,
    file: &'static str,
    text: String,
    /// What to write for it to say that again.
    back: String,
}

/// Puts back what was, the last first.
fn take_back(done: &[Before<'_>], cause: Failure) -> Failure {
    match done.iter().rev().try_for_each(put_back) {
        Ok(()) => cause,
        Err(undo) => Halfway { cause: Box::new(cause), undo: Box::new(undo) }.into(),
    }
}

fn put_back(before: &Before<'_>) -> Result<(), Failure> {
    let dir = before.group.dir();
    if dir.read(before.file)? == before.text {
        return Ok(());
    }
    dir.write(before.file, &before.back)?;
    let found = dir.read(before.file)?;
    if found == before.text {
        return Ok(());
    }
    let group = dir.path().to_owned();
    Err(LimitDiffers { file: before.file, group, written: before.back.clone(), found }.into())
}

/// What to write for the file of `setting` to say `text` again.
fn back(setting: &Setting, text: &str) -> String {
    if setting.file.rule != Rule::Device {
        // A write of nothing at all does not reach the kernel.
        return format!("{text}\n");
    }
    let device = setting.value.as_deref().and_then(|value| value.split_whitespace().next()).unwrap_or_default();
    match (line_of(text, device), setting.file.name) {
        (Some(line), _) => line.to_owned(),
        (None, "io.max") => format!("{device} rbps=max wbps=max riops=max wiops=max"),
        (None, _) => format!("{device} 0"),
    }
}
