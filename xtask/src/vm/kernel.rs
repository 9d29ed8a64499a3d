//! The kernel of a package, as QEMU's fastest way of booting wants it: the ELF file that is compressed in vmlinuz.
//!
//! Debian compresses with LZ4 (in the legacy frame) or with Zstandard; another format is an error that names it. Follows
//! the kernel's Documentation/arch/x86/boot.rst and, for the frame, `lz4_Frame_format.md`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::packages::{Package, Suite, unpack};
use crate::error::{Doing, Error, Result};

/// What is installed to have the newest kernel of a suite for virtual machines; it depends on the real ones.
const NEWEST: &str = "linux-image-cloud-amd64";
/// Packages with a kernel in them; newer ones keep it apart from the image.
const KERNELS: [&str; 2] = ["linux-binary-", "linux-image-"];

const SETUP_SECTORS: usize = 0x1f1;
const HEADER_MAGIC: (usize, &[u8]) = (0x202, b"HdrS");
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SECTOR: usize = 512;
const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// What a block of the legacy frame unpacks to at most.
const LZ4_BLOCK: usize = 8 << 20;
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const ELF: &[u8] = b"\x7fELF";

/// Downloads the newest kernel of `suite` and answers with the package that it is in, and the package's file.
pub(super) fn download(suite: &Suite) -> Result<(Package, PathBuf)> {
    let newest = suite.package(NEWEST)?;
    let image = kernel_of(&newest).doing(format!("{} depends on no kernel: {:?}", newest.label(), newest.depends))?;
    let image = suite.package(image)?;
    let package = match kernel_of(&image) {
        Some(binary) => suite.package(binary)?,
        None => image,
    };
    let file = suite.download(&package)?;
    Ok((package, file))
}

/// The package with the kernel that `package` depends on.
fn kernel_of(package: &Package) -> Option<&str> {
    let is_one = |name: &&String| KERNELS.iter().any(|kernel| name.starts_with(kernel));
    package.depends.iter().find(is_one).map(String::as_str)
}

/// Unpacks the kernel of `deb` into `dir`, unless it is there.
pub(super) fn vmlinux(package: &Package, deb: &Path, dir: &Path) -> Result<PathBuf> {
    let vmlinux = dir.join(package.label());
    if vmlinux.is_file() {
        return Ok(vmlinux);
    }
    fs::create_dir_all(dir).doing(format!("make {}", dir.display()))?;
    let temporary = tempfile::tempdir_in(dir).doing(format!("make a directory in {}", dir.display()))?;
    let root = temporary.path().join("root");
    unpack(&[deb.to_owned()], &root)?;
    let compressed = find(&root)?.doing(format!("{} has no vmlinuz", deb.display()))?;
    let image = fs::read(&compressed).doing(format!("read {}", compressed.display()))?;
    let whole = decompress(&image).doing(format!("unpack the kernel of {}", deb.display()))?;
    let written = temporary.path().join("vmlinux");
    fs::write(&written, whole).doing(format!("write {}", written.display()))?;
    fs::rename(&written, &vmlinux).doing(format!("make {}", vmlinux.display()))?;
    Ok(vmlinux)
}

/// The vmlinuz in an unpacked package: in /boot, or beside the modules.
fn find(root: &Path) -> Result<Option<PathBuf>> {
    let modules = ["usr/lib/modules", "lib/modules"].map(|dir| root.join(dir));
    let mut dirs = vec![root.join("boot")];
    for dir in modules.iter().filter(|dir| dir.is_dir()) {
        let entries = fs::read_dir(dir).doing(format!("read {}", dir.display()))?;
        dirs.extend(entries.flatten().map(|entry| entry.path()));
    }
    let files = dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    Ok(files
        .map(|file| file.path())
        .find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))))
}

/// The ELF file within a bzImage.
fn decompress(image: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Result<usize> {
        let bytes = image.get(at..at + 4).doing("the kernel's header is cut short")?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize)
    };
    let (at, magic) = HEADER_MAGIC;
    if image.get(at..at + magic.len()) != Some(magic) {
        return Err(Error::new("it is no bzImage"));
    }
    let begin = (usize::from(image[SETUP_SECTORS]) + 1) * SECTOR + word(PAYLOAD_OFFSET)?;
    let payload = image.get(begin..begin + word(PAYLOAD_LENGTH)?).doing("the kernel is cut short")?;
    let size = payload.last_chunk().doing("the kernel is empty")?;
    // The kernel's build puts the size behind what the tool has written.
    let size = u32::from_le_bytes(*size) as usize;
    let packed = &payload[..payload.len() - 4];
    let whole = match packed.first_chunk() {
        Some(&LZ4_LEGACY) => lz4_legacy(&packed[LZ4_LEGACY.len()..], size)?,
        Some(&ZSTD) => zstd(packed, size)?,
        other => return Err(Error::new(format!("it is compressed in a way that is not known: {other:02x?}"))),
    };
    if whole.len() != size || !whole.starts_with(ELF) {
        return Err(Error::new(format!("{} bytes came out, where an ELF file of {size} was promised", whole.len())));
    }
    Ok(whole)
}

fn lz4_legacy(mut packed: &[u8], size: usize) -> Result<Vec<u8>> {
    let mut whole = Vec::with_capacity(size);
    let mut block = vec![0; LZ4_BLOCK];
    while let Some((length, rest)) = packed.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let (this, rest) = rest.split_at_checked(length).doing("a block is cut short")?;
        let unpacked = lz4_flex::block::decompress_into(this, &mut block).doing("unpack a block")?;
        whole.extend_from_slice(&block[..unpacked]);
        packed = rest;
    }
    Ok(whole)
}

fn zstd(packed: &[u8], size: usize) -> Result<Vec<u8>> {
    let mut whole = Vec::with_capacity(size);
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(packed).doing("read the frame")?;
    decoder.read_to_end(&mut whole).doing("unpack the frame")?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bzImage with `packed` in it that promises `size` bytes.
    fn image(packed: &[u8], size: u32) -> Vec<u8> {
        let mut image = vec![0; 2 * SECTOR];
        image[SETUP_SECTORS] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET] = 8;
        let length = u32::try_from(packed.len() + 4).unwrap();
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.extend([0; 8]);
        image.extend(packed);
        image.extend(size.to_le_bytes());
        image.extend(b"behind it");
        image
    }

    /// A legacy frame of one block that holds `bytes` as they are: at most 14.
    fn literal(bytes: &[u8]) -> Vec<u8> {
        let mut frame = LZ4_LEGACY.to_vec();
        frame.extend(u32::try_from(bytes.len() + 1).unwrap().to_le_bytes());
        frame.push(u8::try_from(bytes.len() << 4).unwrap());
        frame.extend(bytes);
        frame
    }

    #[test]
    fn the_elf_file_comes_out_of_the_image() {
        assert_eq!(decompress(&image(&literal(b"\x7fELF and more"), 13)).unwrap(), b"\x7fELF and more");
        // One raw block of four bytes, in a frame with its size.
        let frame = [&ZSTD[..], &[0x20, 4, 0x21, 0, 0], b"\x7fELF"].concat();
        assert_eq!(decompress(&image(&frame, 4)).unwrap(), b"\x7fELF");
    }

    #[test]
    fn what_is_not_as_promised_is_refused() {
        let refusal = |image: &[u8]| decompress(image).expect_err("it is damaged").to_string();
        assert!(refusal(&image(&literal(b"\x7fELF"), 5)).contains("of 5 was promised"));
        assert!(refusal(&image(&literal(b"text"), 4)).contains("an ELF file"));
        assert!(refusal(&image(b"\x1f\x8b\x08\x00", 4)).contains("1f, 8b"));
        assert_eq!(refusal(b"short"), "it is no bzImage");
        let whole = image(&literal(b"\x7fELF"), 4);
        assert_eq!(refusal(&whole[..whole.len() - 20]), "the kernel is cut short");
    }

    #[test]
    fn the_kernel_is_followed_to_the_package_that_has_it() {
        let package = |depends: &[&str]| Package {
            name: "p".into(),
            version: "1".into(),
            depends: depends.iter().map(ToString::to_string).collect(),
        };
        let newest = package(&["linux-base-cloud-amd64", "linux-image-7.3-cloud-amd64", "linux-modules-cloud-amd64"]);
        assert_eq!(kernel_of(&newest), Some("linux-image-7.3-cloud-amd64"));
        assert_eq!(
            kernel_of(&package(&["dracut", "linux-binary-7.3-cloud-amd64"])),
            Some("linux-binary-7.3-cloud-amd64")
        );
        assert_eq!(kernel_of(&package(&["kmod", "initramfs-tools"])), None);
    }
}
