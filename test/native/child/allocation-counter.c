// Preloaded into a process, counts the memory that polyadic's addon and its threading runtime ask for: calls of malloc and its kind, of C++'s
// operator new and of mmap whose caller lies in their code. The count stands in the file that ALLOCATION_COUNT names, as a 64-bit integer.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static struct { uintptr_t begin, end; } ranges[32];
static int range_count = 0;
static _Atomic int64_t unread = 0;
static _Atomic int64_t *count = &unread;

static void note(void *caller) {
  const uintptr_t at = (uintptr_t)caller;
  for (int i = 0; i < range_count; ++i) {
    if (at >= ranges[i].begin && at < ranges[i].end) atomic_fetch_add(count, 1);
  }
}
#define NOTE() note(__builtin_return_address(0))

static int add_library(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size, (void)data;
  if (!strstr(info->dlpi_name, "polyadic.node")) return 0;
  for (int i = 0; i < info->dlpi_phnum && range_count < 32; ++i) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
    ranges[range_count].begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    ranges[range_count].end = ranges[range_count].begin + info->dlpi_phdr[i].p_memsz;
    ++range_count;
  }
  return 0;
}

void *dlopen(const char *file, int mode) {
  void *(*real)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
  void *library = real(file, mode);
  range_count = 0;
  dl_iterate_phdr(add_library, NULL);
  return library;
}

__attribute__((constructor)) static void open_file(void) {
  const char *name = getenv("ALLOCATION_COUNT");
  const int file = name ? open(name, O_RDWR) : -1;
  if (file < 0) return;
  void *page = (void *)syscall(SYS_mmap, NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) count = page;
  close(file);
}

void *malloc(size_t size) { return NOTE(), __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return NOTE(), __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { return NOTE(), __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { return NOTE(), __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return NOTE(), __libc_memalign(alignment, size); }
int posix_memalign(void **to, size_t alignment, size_t size) {
  NOTE();
  return (*to = __libc_memalign(alignment, size)) ? 0 : ENOMEM;
}
void *mmap(void *at, size_t length, int protection, int flags, int file, off_t offset) {
  NOTE();
  return (void *)syscall(SYS_mmap, at, length, protection, flags, file, offset);
}

static void *new_or_abort(void *memory) {
  if (!memory) abort();
  return memory;
}
// operator new(size), new[](size), and both with an alignment
void *_Znwm(size_t size) { return NOTE(), new_or_abort(__libc_malloc(size)); }
void *_Znam(size_t size) { return NOTE(), new_or_abort(__libc_malloc(size)); }
void *_ZnwmSt11align_val_t(size_t size, size_t alignment) { return NOTE(), new_or_abort(__libc_memalign(alignment, size)); }
void *_ZnamSt11align_val_t(size_t size, size_t alignment) { return NOTE(), new_or_abort(__libc_memalign(alignment, size)); }
