//! Takes the debug information for debuggers out of the kernel program: four fifths of it. What the kernel and aya
//! read (BTF) stays.

use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// The ELF file without its DWARF sections.
pub fn strip(elf: &[u8]) -> object::build::Result<Vec<u8>> {
    let mut builder = Builder::read(elf)?;
    for section in &mut builder.sections {
        let name = section.name.as_slice();
        section.delete = name.starts_with(b".debug_") || name.starts_with(b".rel.debug_");
    }
    // LLVM puts all names into one section; the builder has those of sections in one of their own.
    let names = builder.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    builder.delete_orphans();
    let mut stripped = Vec::new();
    builder.write(&mut stripped)?;
    Ok(stripped)
}
