//! A library for 32-bit programs that does nothing: their loader finds it where 64-bit ones find the preload library,
//! and is quiet.

/// Where each part of the file lies: one page that is loaded whole.
mod place {
    pub(super) const HEADERS: u32 = 52;
    pub(super) const DYNAMIC: u32 = HEADERS + 3 * 32;
    pub(super) const HASH: u32 = DYNAMIC + 6 * 8;
    pub(super) const SYMBOLS: u32 = HASH + 4 * 4;
    pub(super) const STRINGS: u32 = SYMBOLS + 16;
    pub(super) const END: u32 = STRINGS + 4;
}

/// A shared object of i386 with no name, no code and no symbol, as elf(5) describes it.
pub(super) fn i386() -> Vec<u8> {
    const PT_LOAD: u32 = 1;
    const PT_DYNAMIC: u32 = 2;
    const PT_GNU_STACK: u32 = 0x6474_e551;
    const READ: u32 = 4;
    const READ_WRITE: u32 = 6;
    const DYNAMIC_BYTES: u32 = place::HASH - place::DYNAMIC;

    let mut file = Vec::new();
    let mut words = |list: &[u32]| file.extend(list.iter().flat_map(|word| word.to_le_bytes()));
    // 32 bits, little-endian; ET_DYN, EM_386; sizes of the headers and how many there are.
    words(&[0x464c_457f, 0x0001_0101, 0, 0]);
    words(&[3 | 3 << 16, 1, 0, place::HEADERS, 0, 0, 52 | 32 << 16, 3 | 40 << 16, 0]);
    let mut segment = |kind, offset, size, flags, align| {
        words(&[kind, offset, offset, offset, size, size, flags, align]);
    };
    // Writable, since a loader may put addresses into the dynamic section.
    segment(PT_LOAD, 0, place::END, READ_WRITE, 4096);
    segment(PT_DYNAMIC, place::DYNAMIC, DYNAMIC_BYTES, READ_WRITE, 4);
    // Without it the loader would make every stack executable.
    segment(PT_GNU_STACK, 0, 0, READ | READ_WRITE, 16);
    // DT_HASH, DT_SYMTAB, DT_SYMENT, DT_STRTAB, DT_STRSZ, DT_NULL.
    let dynamic = [(4, place::HASH), (6, place::SYMBOLS), (11, 16), (5, place::STRINGS), (10, 1), (0, 0)];
    dynamic.iter().for_each(|&(tag, value)| words(&[tag, value]));
    // One bucket with nothing in it; the symbol and the string that every table begins with.
    words(&[1, 1, 0, 0]);
    words(&[0, 0, 0, 0]);
    words(&[0]);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_lies_where_the_headers_say() {
        let file = i386();
        assert_eq!(file.len(), place::END as usize);
        assert_eq!(file[..5], *b"\x7fELF\x01");
        let word = |at: u32| u32::from_le_bytes(file[at as usize..][..4].try_into().expect("four bytes"));
        assert_eq!(word(28), place::HEADERS);
        assert_eq!(word(place::DYNAMIC), 4);
        assert_eq!(word(place::HASH), 1);
        assert_eq!(word(place::HASH - 8), 0);
    }
}
