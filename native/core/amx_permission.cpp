#include "amx_permission.h"

#include <cerrno>
#include <cstring>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace polyadic {
namespace {

#if defined(__linux__) && defined(__x86_64__)

// Refused by systems before Linux 5.16, by filters of system calls that do not know it, and where a thread has an
// alternate signal stack that is too small for the registers.
std::string ask() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM and the state's number
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0) return "";
  return std::string("AMX: the system refused permission (") + std::strerror(errno) + ")";
}

#else

std::string ask() { return "AMX: used on Linux only"; }

#endif

}  // namespace

const std::string& amx_refusal() {
  static const std::string refusal = ask();
  return refusal;
}

}  // namespace polyadic
