//! The block device behind a path, by the number that the kernel caps it by.
//!
//! Rates belong to whole disks: the kernel refuses a partition, and so does this, with the disk's name.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use executor_api::limits::IoLimit;
use nix::libc::{major, minor};

use super::error::BadDevice;
use super::limits::Device;

/// The devices of `caps`, in their order.
///
/// # Errors
///
/// [`BadDevice`] for a path that is no block device, a partition, a device that has two paths here, a cap of zero.
pub(super) fn devices(caps: &[IoLimit]) -> Result<Vec<Device>, BadDevice> {
    let mut found: Vec<Device> = Vec::new();
    for cap in caps {
        let refuse = |why: String, fix: String| BadDevice { path: cap.device.clone(), why, fix };
        let number = number(&cap.device).map_err(|error| refuse(error.to_string(), String::new()))?;
        let Some(number) = number else {
            return Err(refuse("it is no block device".into(), "name a disk, as lsblk lists them".into()));
        };
        if let Some(disk) = disk_of_partition(&number) {
            let why = "it is a partition, and the kernel caps whole disks only";
            return Err(refuse(why.into(), format!("name its disk: /dev/{disk}")));
        }
        if let Some(twin) = found.iter().find(|other| other.number == number) {
            return Err(refuse(format!("it is {} too", twin.caps.device.display()), "name each disk once".into()));
        }
        let bytes = [cap.read_bps, cap.write_bps].map(|bytes| bytes.map(|bytes| bytes.get()));
        if bytes.into_iter().chain([cap.read_iops, cap.write_iops]).any(|rate| rate == Some(0)) {
            return Err(refuse("to the kernel a rate of zero is no cap".into(), "ask for at least 1".into()));
        }
        found.push(Device { number, caps: cap.clone() });
    }
    Ok(found)
}

/// `major:minor` of the block device at `path`; none for another kind of file.
fn number(path: &Path) -> io::Result<Option<String>> {
    let file = fs::metadata(path)?;
    let device = file.rdev();
    Ok(file.file_type().is_block_device().then(|| format!("{}:{}", major(device), minor(device))))
}

/// The name of the disk that the device with this number is a part of; none for a whole disk.
fn disk_of_partition(number: &str) -> Option<String> {
    let entry = Path::new("/sys/dev/block").join(number);
    entry.join("partition").exists().then_some(())?;
    let place = fs::canonicalize(entry).ok()?;
    Some(place.parent()?.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use executor_api::units::Bytes;

    use super::*;

    fn refused(cap: IoLimit) -> String {
        devices(&[cap]).expect_err("it cannot be capped").to_string()
    }

    #[test]
    fn what_is_no_disk_is_refused_by_name() {
        let capped = |path: &str| IoLimit { read_iops: Some(1), ..IoLimit::new(path) };
        assert_eq!(refused(capped("/dev/null")), "cap the rates of /dev/null: it is no block device");
        assert!(refused(capped("/dev/no-such-disk")).contains("/dev/no-such-disk: No such file"));
    }

    #[test]
    fn a_rate_of_zero_is_refused_since_the_kernel_takes_it_for_none() {
        let Some(disk) = fs::read_dir("/dev").expect("/dev").find_map(|entry| {
            let path = entry.expect("an entry").path();
            let number = number(&path).ok().flatten()?;
            disk_of_partition(&number).is_none().then_some(path)
        }) else {
            eprintln!("skipped: needs a block device");
            return;
        };
        let cap = IoLimit { write_bps: Some(Bytes::new(0)), ..IoLimit::new(&disk) };
        assert!(refused(cap).contains("zero is no cap"));
        let twice = [1, 2].map(|rate| IoLimit { read_iops: Some(rate), ..IoLimit::new(&disk) });
        assert!(devices(&twice).expect_err("twice").to_string().contains(" too"));
    }
}
