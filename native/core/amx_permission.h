// AMX's registers are large: Linux saves them only for processes that have asked.
#pragma once

#include <string>

namespace polyadic {

// Asks the system, at the first call, to let this process use AMX; empty: it does, in all of its threads. Else why it
// does not.
const std::string& amx_refusal();

}  // namespace polyadic
