//! Signatures of plugin files, made with minisign(1): `libexecutor_x.so` has its own in `libexecutor_x.so.minisig`.
//!
//! Only the prehashed form is taken, which minisign writes by default. The signature is looked for beside the real file,
//! behind links; it needs no trust of its own.

use std::path::{Path, PathBuf};

use minisign_verify::{PublicKey, Signature};

use crate::lock::{each_chunk, text};
use crate::refusal::{Refusal, Stage, shell};
use crate::trust::{TrustedFile, open_trusted};

/// The public keys whose signatures count.
#[derive(Clone, Debug)]
pub(crate) struct Keys(Vec<PublicKey>);

impl Keys {
    /// Reads public keys as minisign writes them, each in a file that must be trusted as a plugin must.
    ///
    /// # Errors
    ///
    /// A refusal for a file that is not trusted or is no public key.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, Refusal> {
        let key = |path: &PathBuf| {
            let wrong = |error| refusal(format!("{} is no public key: {error}", path.display()));
            PublicKey::decode(text(&open_trusted(path)?)?.trim()).map_err(wrong)
        };
        files.iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// Checks that one of the keys has signed `file`.
    ///
    /// # Errors
    ///
    /// A refusal when there is no signature, it is another key's, or the file has changed since.
    pub(crate) fn check(&self, file: &TrustedFile) -> Result<(), Refusal> {
        let path = beside(&file.path);
        let sign = format!("minisign -S -m {}", shell(&file.path));
        let found = open_trusted(&path);
        let found = found.map_err(|error| refusal(format!("it has no signature: {}", error.why)).with_fix(&sign))?;
        let wrong = |why: &dyn std::fmt::Display| refusal(format!("{}: {why}", path.display())).with_fix(&sign);
        let signature = Signature::decode(&text(&found)?).map_err(|error| wrong(&error))?;
        // The signature names its key; a verifier for another one is not made.
        let mut verifying = self.0.iter().find_map(|key| key.verify_stream(&signature).ok());
        let verifier = verifying.as_mut().ok_or_else(|| wrong(&"it was not made with a key that is allowed"))?;
        each_chunk(file, |chunk| verifier.update(chunk))?;
        verifier.finalize().map_err(|_| wrong(&"it is not that of this file"))
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".minisig");
    name.into()
}

fn refusal(why: impl AsRef<str>) -> Refusal {
    Refusal::new(Stage::Lock, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::tests::{trusted_dir, write_trusted};

    /// What minisign signed once: the key, a stranger's key, the signature, and the text that was signed.
    const SIGNER: &str = include_str!("../fixtures/signer.pub");
    const STRANGER: &str = include_str!("../fixtures/stranger.pub");
    const SIGNATURE: &str = include_str!("../fixtures/plugin.minisig");
    const SIGNED: &str = "the bytes of a plugin\n";

    fn answer(keys: &[&str], signature: Option<&str>, contents: &str) -> Result<(), String> {
        let dir = trusted_dir();
        let file = dir.path().join("libexecutor_x.so");
        write_trusted(&file, contents);
        if let Some(signature) = signature {
            write_trusted(&beside(&file), signature);
        }
        let key = |(at, text): (usize, &&str)| {
            let path = dir.path().join(format!("{at}.pub"));
            write_trusted(&path, text);
            path
        };
        let keys: Vec<PathBuf> = keys.iter().enumerate().map(key).collect();
        let check = || Keys::read(&keys)?.check(&open_trusted(&file)?);
        check().map_err(|refusal: Refusal| refusal.to_string())
    }

    #[test]
    fn what_an_allowed_key_has_signed_is_taken() {
        assert_eq!(answer(&[SIGNER], Some(SIGNATURE), SIGNED), Ok(()));
        assert_eq!(answer(&[STRANGER, SIGNER], Some(SIGNATURE), SIGNED), Ok(()));
    }

    #[test]
    fn everything_else_is_refused_with_the_reason() {
        let refused = |keys: &[&str], signature, contents, why| {
            let words = answer(keys, signature, contents).expect_err(why);
            assert!(words.contains(why) && !words.contains('\n'), "{words}");
        };
        refused(&[SIGNER], None, SIGNED, "no signature");
        refused(&[SIGNER], Some("nonsense"), SIGNED, "minisig");
        refused(&[SIGNER], Some(SIGNATURE), "other bytes of a plugin\n", "not that of this file");
        refused(&[STRANGER], Some(SIGNATURE), SIGNED, "not made with a key that is allowed");
        refused(&["nonsense"], Some(SIGNATURE), SIGNED, "no public key");
    }
}
