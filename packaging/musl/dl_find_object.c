// What GCC's unwinder asks glibc 2.35 and later for, and musl has not: where the unwinding table of the code at an address is.
// The one object of a program that is linked statically is found by dl_iterate_phdr(3), as older unwinders did by themselves.
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>

// As <dlfcn.h> of glibc has it on x86-64.
struct dl_find_object {
    unsigned long long flags;
    void *map_start;
    void *map_end;
    void *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct search {
    uintptr_t address;
    struct dl_find_object *found;
};

static int look_into(struct dl_phdr_info *object, size_t size, void *data)
{
    (void)size;
    struct search *search = data;
    const ElfW(Phdr) *table = NULL;
    int holds_it = 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        uintptr_t start = object->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && search->address - start < part->p_memsz) {
            search->found->map_start = (void *)start;
            search->found->map_end = (void *)(start + part->p_memsz);
            holds_it = 1;
        }
        if (part->p_type == PT_GNU_EH_FRAME)
            table = part;
    }
    if (!holds_it || table == NULL)
        return 0;
    search->found->eh_frame = (void *)(object->dlpi_addr + table->p_vaddr);
    return 1;
}

int _dl_find_object(void *address, struct dl_find_object *found)
{
    struct search search = {(uintptr_t)address, found};
    *found = (struct dl_find_object){0};
    return dl_iterate_phdr(look_into, &search) ? 0 : -1;
}
