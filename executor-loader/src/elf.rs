//! Reads a plugin's file without running it: its bounds, its machine, its root module's symbol, its metadata.
//!
//! The dynamic linker maps a file as the file's own headers say, and dies by SIGBUS or SIGSEGV where they lie, in the
//! host. So everything that it will follow blindly is checked to lie inside the file first. The file is read by `pread`
//! and never mapped: if it is cut short meanwhile, that is an error here and no signal. Follows the System V ABI,
//! chapter 5.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use executor_api::abi::{API_VERSION, METADATA_SECTION, PluginMetadata, ROOT_SYMBOL};
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};
use object::read::{ReadCache, StringTable};
use object::{Endianness, SectionIndex};

use crate::refusal::{Refusal, Stage};
use crate::trust::TrustedFile;

/// The largest plugin, with debug information; what is larger is no plugin.
const LARGEST_FILE: u64 = 512 << 20;
/// The largest table that is read whole.
const LARGEST_TABLE: u64 = 32 << 20;
/// What is read behind the symbol before anything of it is believed: abi_stable's header.
const SYMBOL_SIZE: u64 = 40;
/// The first bytes of the file, which say how to read the others.
const IDENT_SIZE: u64 = 16;

#[cfg(target_pointer_width = "64")]
type Header = elf::FileHeader64<Endianness>;
#[cfg(target_pointer_width = "32")]
type Header = elf::FileHeader32<Endianness>;
type Segment = <Header as FileHeader>::ProgramHeader;
type Section = <Header as FileHeader>::SectionHeader;
type Symbol = <Header as FileHeader>::Sym;
type Bytes<'a> = ReadCache<Pread<'a>>;

/// What the plugin in `file` says of itself, if the file is a whole library for this machine with a root module.
///
/// # Errors
///
/// A refusal that says what the file is instead.
pub(crate) fn metadata(file: &TrustedFile) -> Result<PluginMetadata, Refusal> {
    let size = file.identity.size;
    if size > LARGEST_FILE {
        return Err(refusal(format!("larger than {} MiB", LARGEST_FILE >> 20)));
    }
    let bytes = ReadCache::new(Pread { file: &file.file, at: 0, size });
    check_ident(&bytes, size)?;
    let image = Image::read(&bytes, size)?;
    image.check_kind()?;
    image.check_bounds()?;
    image.check_root_module()?;
    check_metadata(image.metadata()?)
}

/// The first bytes: an ELF file of this machine's word size and byte order, for this system.
fn check_ident(bytes: &Bytes<'_>, size: u64) -> Result<(), Refusal> {
    if size == 0 {
        return Err(refusal("an empty file").with_fix(REINSTALL));
    }
    let start = read(bytes, 0, size.min(IDENT_SIZE))?;
    if !start.starts_with(&elf::ELFMAG) {
        return Err(refusal("not an ELF file").with_fix("put a plugin's library there, or remove it"));
    }
    if size < size_of::<Header>() as u64 {
        return Err(truncated("the file header"));
    }
    let host_class = if cfg!(target_pointer_width = "64") { elf::ELFCLASS64 } else { elf::ELFCLASS32 };
    if start[4] != host_class.0 {
        let bits = |class| if class == elf::ELFCLASS64.0 { "64-bit" } else { "32-bit" };
        let why = format!("a {} library, this host is {}", bits(start[4]), bits(host_class.0));
        return Err(refusal(why).with_fix(wrong_build()));
    }
    let host_order = if cfg!(target_endian = "little") { elf::ELFDATA2LSB } else { elf::ELFDATA2MSB };
    if start[5] != host_order.0 {
        return Err(refusal("built for the other byte order").with_fix(wrong_build()));
    }
    let own_system = if cfg!(target_os = "linux") { elf::ELFOSABI_GNU } else { elf::ELFOSABI_FREEBSD };
    if ![elf::ELFOSABI_SYSV.0, own_system.0].contains(&start[7]) {
        let name = if start[7] == elf::ELFOSABI_FREEBSD.0 { " (FreeBSD)" } else { "" };
        return Err(refusal(format!("built for another system, ELF OS/ABI {}{name}", start[7])).with_fix(wrong_build()));
    }
    Ok(())
}

/// The parts of a file that are found from its header.
struct Image<'a> {
    bytes: &'a Bytes<'a>,
    size: u64,
    endian: Endianness,
    header: &'a Header,
    segments: &'a [Segment],
    sections: SectionTable<'a, Header, &'a Bytes<'a>>,
}

impl<'a> Image<'a> {
    fn read(bytes: &'a Bytes<'a>, size: u64) -> Result<Self, Refusal> {
        let header = Header::parse(bytes).map_err(|_| damaged("the file header is of no known version"))?;
        let endian = header.endian().map_err(|_| damaged("the byte order is unknown"))?;
        let counts = [
            (
                "the program header table",
                wide(header.e_phoff(endian)),
                header.phnum(endian, bytes),
                size_of::<Segment>(),
            ),
            ("the section table", wide(header.e_shoff(endian)), header.shnum(endian, bytes), size_of::<Section>()),
        ];
        for (table, offset, count, entry) in counts {
            let count = count.map_err(|_| truncated(table))?;
            let length = u64::from(count) * entry as u64;
            if offset == 0 || count == 0 {
                return Err(damaged(&format!("{table} is missing")));
            }
            if !lies_within(offset, length, size) {
                return Err(truncated(table));
            }
            if length > LARGEST_TABLE {
                return Err(damaged(&format!("{table} is too large")));
            }
        }
        let segments = header.program_headers(endian, bytes).map_err(|_| damaged("the program headers"))?;
        let sections = header.sections(endian, bytes).map_err(|_| damaged("the section headers"))?;
        Ok(Self { bytes, size, endian, header, segments, sections })
    }

    /// A library for this machine.
    fn check_kind(&self) -> Result<(), Refusal> {
        let machine = self.header.e_machine(self.endian).0;
        if let Some(host) = host_machine().filter(|host| *host != machine) {
            let name = |machine| MACHINES.iter().find(|known| known.0 == machine).map_or("another", |known| known.1);
            let why = format!(
                "built for {} (ELF machine {machine}), this host is {} ({host})",
                name(machine),
                std::env::consts::ARCH
            );
            return Err(refusal(why).with_fix(wrong_build()));
        }
        let is_program = |segment: &Segment| segment.p_type(self.endian) == elf::PT_INTERP;
        match self.header.e_type(self.endian) {
            elf::ET_DYN if !self.segments.iter().any(is_program) && !self.is_static_program() => Ok(()),
            elf::ET_DYN | elf::ET_EXEC => Err(refusal("an executable, not a library").with_fix(CDYLIB)),
            elf::ET_REL => Err(refusal("an object file, not a library").with_fix(CDYLIB)),
            _ => Err(refusal("an ELF file, but not a library").with_fix(CDYLIB)),
        }
    }

    /// Whether the dynamic section marks a position-independent program: one without an interpreter has no other sign.
    fn is_static_program(&self) -> bool {
        let mut bearable = self.segments.iter().filter(|segment| segment.file_range(self.endian).1 <= LARGEST_TABLE);
        let entries = bearable.find_map(|segment| segment.dynamic(self.endian, self.bytes).ok().flatten());
        entries.unwrap_or_default().iter().any(|entry| {
            let value = wide(entry.d_val(self.endian));
            entry.d_tag(self.endian) == elf::DT_FLAGS_1 && value & elf::DF_1_PIE.0 != 0
        })
    }

    /// Everything that the headers point at lies inside the file.
    fn check_bounds(&self) -> Result<(), Refusal> {
        let endian = self.endian;
        for segment in self.segments {
            let (offset, length) = segment.file_range(endian);
            if !lies_within(offset, length, self.size) {
                return Err(truncated("a program segment"));
            }
            let loads = segment.p_type(endian) == elf::PT_LOAD;
            let (address, memory) = (wide(segment.p_vaddr(endian)), wide(segment.p_memsz(endian)));
            if loads && (length > memory || address.checked_add(memory).is_none()) {
                return Err(damaged("a program segment does not fit its place in memory"));
            }
        }
        for section in self.sections.iter() {
            let in_file = section.sh_type(endian) != elf::SHT_NULL;
            if let Some((offset, length)) = section.file_range(endian).filter(|_| in_file)
                && !lies_within(offset, length, self.size)
            {
                return Err(truncated("a section"));
            }
        }
        Ok(())
    }

    /// The symbol of the root module is exported, large enough, and lies in memory that can be read.
    fn check_root_module(&self) -> Result<(), Refusal> {
        let Some(symbol) = self.root_symbol()? else {
            return Err(refusal("no executor plugin: it exports no root module").with_fix("use export_executor! in it"));
        };
        let (address, length) = (wide(symbol.st_value(self.endian)), wide(symbol.st_size(self.endian)));
        if length < SYMBOL_SIZE {
            return Err(damaged(&format!("its root module is {length} bytes long, at least {SYMBOL_SIZE} are needed")));
        }
        let holds = |segment: &&Segment| {
            let (start, memory) = (wide(segment.p_vaddr(self.endian)), wide(segment.p_memsz(self.endian)));
            let readable = segment.p_flags(self.endian).contains(elf::PF_R);
            segment.p_type(self.endian) == elf::PT_LOAD
                && readable
                && address.checked_sub(start).is_some_and(|offset| lies_within(offset, length, memory))
        };
        match self.segments.iter().find(holds) {
            Some(_) => Ok(()),
            None => Err(damaged("its root module lies outside of its memory")),
        }
    }

    fn root_symbol(&self) -> Result<Option<&'a Symbol>, Refusal> {
        let endian = self.endian;
        let is_dynamic = |section: &&Section| section.sh_type(endian) == elf::SHT_DYNSYM;
        let Some(table) = self.sections.iter().find(is_dynamic) else { return Ok(None) };
        let strings = self.sections.section(SectionIndex(table.sh_link(endian) as usize));
        let names = self.contents(strings.map_err(|_| damaged("the names of the symbols are missing"))?)?;
        let names = StringTable::new(names, 0, names.len() as u64);
        self.contents(table)?;
        let symbols: &'a [Symbol] = table.data_as_array(endian, self.bytes).map_err(|_| damaged("the symbol table"))?;
        let wanted = &ROOT_SYMBOL[..ROOT_SYMBOL.len() - 1];
        Ok(symbols.iter().find(|symbol| {
            let exported = symbol.st_bind() != elf::STB_LOCAL && !symbol.is_undefined(endian);
            let of_data = matches!(symbol.st_type(), elf::STT_OBJECT | elf::STT_NOTYPE);
            exported && of_data && names.get(symbol.st_name(endian)) == Ok(wanted)
        }))
    }

    /// The text in the metadata section.
    fn metadata(&self) -> Result<PluginMetadata, Refusal> {
        let Some((_, section)) = self.sections.section_by_name(self.endian, METADATA_SECTION.as_bytes()) else {
            return Err(refusal(format!("no section {METADATA_SECTION}")).with_fix("use export_executor! in it"));
        };
        PluginMetadata::parse(self.contents(section)?).map_err(|why| refusal(why).with_fix(REINSTALL))
    }

    fn contents(&self, section: &'a Section) -> Result<&'a [u8], Refusal> {
        let (offset, length) = section.file_range(self.endian).unwrap_or((0, 0));
        if length > LARGEST_TABLE {
            return Err(damaged("a section is too large"));
        }
        read(self.bytes, offset, length)
    }
}

/// A plugin that this host can talk to, and whose panics do not end it.
fn check_metadata(metadata: PluginMetadata) -> Result<PluginMetadata, Refusal> {
    let major = |version: &str| version.split('.').next().and_then(|major| major.parse::<u64>().ok());
    if major(&metadata.api).is_none() || major(&metadata.api) != major(API_VERSION) {
        let why = format!("built for executor-api {}, this host has {API_VERSION}", metadata.api);
        let fix = format!("install a build for executor-api {}", major(API_VERSION).unwrap_or_default());
        return Err(refusal(why).with_fix(fix));
    }
    if metadata.panic != "unwind" {
        let why = format!("built with panic = {:?}: a panic in it would end the host", metadata.panic);
        return Err(refusal(why).with_fix("build it with panic = \"unwind\""));
    }
    let texts = [&metadata.version, &metadata.api, &metadata.rustc, &metadata.target];
    if texts.iter().any(|text| text.chars().any(char::is_control)) {
        return Err(refusal("its metadata holds control characters").with_fix(REINSTALL));
    }
    Ok(metadata)
}

const REINSTALL: &str = "install the file again";
const CDYLIB: &str = "build the plugin as a cdylib";

/// The numbers of machines that Rust's names stand for.
const MACHINES: [(u16, &str); 8] = [
    (elf::EM_X86_64.0, "x86_64"),
    (elf::EM_AARCH64.0, "aarch64"),
    (elf::EM_386.0, "x86"),
    (elf::EM_ARM.0, "arm"),
    (elf::EM_RISCV.0, "riscv64"),
    (elf::EM_S390.0, "s390x"),
    (elf::EM_PPC64.0, "powerpc64"),
    (elf::EM_LOONGARCH.0, "loongarch64"),
];

/// This machine's number; none for one that is not known here, for which the dynamic linker decides alone.
fn host_machine() -> Option<u16> {
    MACHINES.iter().find(|known| known.1 == std::env::consts::ARCH).map(|known| known.0)
}

fn wrong_build() -> String {
    format!("install the plugin built for {} on {}", std::env::consts::ARCH, std::env::consts::OS)
}

/// A word of the file: 32 or 64 bits, as the machine is.
fn wide(word: impl Into<u64>) -> u64 {
    word.into()
}

fn lies_within(offset: u64, length: u64, size: u64) -> bool {
    offset.checked_add(length).is_some_and(|end| end <= size)
}

fn read<'a>(bytes: &'a Bytes<'_>, offset: u64, length: u64) -> Result<&'a [u8], Refusal> {
    object::ReadRef::read_bytes_at(bytes, offset, length).map_err(|()| truncated("the part that was to be read"))
}

fn truncated(part: &str) -> Refusal {
    refusal(format!("truncated: {part} ends beyond the file")).with_fix(REINSTALL)
}

fn damaged(what: &str) -> Refusal {
    refusal(format!("damaged: {what}")).with_fix(REINSTALL)
}

fn refusal(why: impl AsRef<str>) -> Refusal {
    Refusal::new(Stage::Metadata, why)
}

/// The first `size` bytes of a file, without its shared offset.
struct Pread<'a> {
    file: &'a File,
    at: u64,
    size: u64,
}

impl Read for Pread<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..length], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Pread<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests;
