//! One look at what is installed: every file that could be a plugin is searched, checked and asked.
//!
//! Nothing of a plugin runs in this process here. A failure of one candidate is its line in the report and concerns no
//! other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use executor_api::abi::PluginMetadata;
use executor_api::plugin::HostSettings;
use executor_api::{Capabilities, PluginName};

use crate::allow::Allowed;
use crate::cache::Cache;
use crate::candidate::{Candidate, Status};
use crate::elf;
use crate::probe::{Question, probe_all};
use crate::prober::Answer;
use crate::refusal::{Refusal, Stage};
use crate::search::search;
use crate::trust::{FileIdentity, TrustedFile, open_trusted};

/// What a look needs.
pub(crate) struct Discovery<'a> {
    pub(crate) settings: &'a HostSettings,
    pub(crate) allowed: &'a Allowed,
    pub(crate) prober: Option<TrustedFile>,
    pub(crate) cache: Option<Cache>,
}

impl Discovery<'_> {
    /// Looks in `dirs`, first to last.
    pub(crate) fn look(mut self, dirs: &[PathBuf]) -> Vec<Candidate> {
        let (found, broken) = search(dirs);
        let broken = broken.into_iter().map(|(dir, refusal)| Candidate::refused(dir, None, refusal));
        let mut candidates: Vec<Candidate> = broken.collect();
        let mut first: BTreeMap<PluginName, PathBuf> = BTreeMap::new();
        for file in found {
            let shadowed = first.get(&file.name).map(|by| Status::Shadowed { by: by.clone() });
            let checked = shadowed.map_or_else(
                || self.check(&file.path, &file.name),
                |status| Candidate {
                    path: file.path.clone(),
                    name: Some(file.name.clone()),
                    metadata: None,
                    status,
                    identity: None,
                },
            );
            // A file that was refused still takes its name: what lies behind it must not run in its place unseen.
            first.entry(file.name).or_insert(file.path);
            candidates.push(checked);
        }
        self.ask(&mut candidates);
        candidates
    }

    /// Everything that can be known without running the file; usable, with no capabilities yet, if all is well.
    fn check(&self, path: &Path, name: &PluginName) -> Candidate {
        match self.checked(path, name) {
            Ok((file, metadata)) => Candidate {
                path: path.to_owned(),
                name: Some(name.clone()),
                metadata: Some(metadata),
                status: Status::Usable(Capabilities::default()),
                identity: Some(file.identity),
            },
            Err(refusal) => Candidate::refused(path.to_owned(), Some(name.clone()), refusal),
        }
    }

    fn checked(&self, path: &Path, name: &PluginName) -> Result<(TrustedFile, PluginMetadata), Refusal> {
        let file = open_trusted(path)?;
        self.allowed.check(&file)?;
        let metadata = elf::metadata(&file)?;
        if metadata.name != *name {
            let why = format!("it calls itself {:?}, its file name says {:?}", metadata.name.as_str(), name.as_str());
            return Err(
                Refusal::new(Stage::Metadata, why).with_fix(format!("name it libexecutor_{}.so", metadata.name))
            );
        }
        Ok((file, metadata))
    }

    /// Fills in what each plugin can do here: from the cache, else by asking.
    fn ask(&mut self, candidates: &mut [Candidate]) {
        let remembered = |candidate: &Candidate| self.cache.as_ref()?.answer(candidate.identity.as_ref()?).cloned();
        let known: Vec<Option<Capabilities>> = candidates.iter().map(remembered).collect();
        // Where nothing can be used, the reason must not be an old one.
        let none = !known.iter().flatten().any(|capabilities| capabilities.usable);
        let mut unknown = Vec::new();
        for (at, known) in known.into_iter().enumerate() {
            match known {
                Some(capabilities) if capabilities.usable || !none => candidates[at].status = status(Ok(capabilities)),
                _ if candidates[at].identity.is_some() => unknown.push(at),
                _ => (),
            }
        }
        for (at, answer) in unknown.iter().zip(self.answers(&unknown, candidates)) {
            let candidate = &mut candidates[*at];
            if let (Some(cache), Ok(capabilities), Some(identity)) = (&mut self.cache, &answer, &candidate.identity) {
                cache.remember(identity, capabilities);
            }
            candidate.status = status(answer);
        }
        self.save(candidates);
    }

    fn answers(&self, unknown: &[usize], candidates: &[Candidate]) -> Vec<Answer> {
        let Some(prober) = &self.prober else {
            let refusal = Refusal::new(Stage::Probe, "there is no trusted executor-probe to ask it with")
                .with_fix("install executor-probe beside the plugins");
            return unknown.iter().map(|_| Err(refusal.clone())).collect();
        };
        let asked = unknown.iter().filter_map(|at| {
            let candidate = &candidates[*at];
            let identity = candidate.identity.as_ref()?;
            Some(Question { path: &candidate.path, identity, settings: settings_for(self.settings, &candidate.path) })
        });
        probe_all(&prober.path, &asked.collect::<Vec<_>>())
    }

    fn save(&mut self, candidates: &[Candidate]) {
        let seen: Vec<&FileIdentity> = candidates.iter().filter_map(|candidate| candidate.identity.as_ref()).collect();
        if let Some(cache) = self.cache.take() {
            // A cache that cannot be written costs time at the next start-up, nothing else.
            _ = cache.save(&seen);
        }
    }
}

fn status(answer: Answer) -> Status {
    match answer {
        Ok(capabilities) if capabilities.usable => Status::Usable(capabilities),
        Ok(capabilities) => Status::Unusable(capabilities),
        Err(refusal) => Status::Refused(refusal),
    }
}

/// The settings of the plugin in the file `path`: it is told where it lies.
pub(crate) fn settings_for(settings: &HostSettings, path: &Path) -> HostSettings {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut settings = settings.clone();
    settings.plugin_dir = real.parent().map(Path::to_owned);
    settings
}
