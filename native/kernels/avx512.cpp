#include "kernel_table.h"

#include "vec_avx512.h"

#include "double_body.h"
#include "float_body.h"
#include "function_body.h"
#include "layout_body.h"
#include "pool_body.h"
#include "row_body.h"
#include "training_body.h"
#include "winograd_body.h"

namespace polyadic {

const KernelTable kernels_avx512 = {"avx512",
                                    float_kernels<8, 8, 8, 6, 4>(),
                                    double_kernels<8, 16>(),
                                    training_kernels(),
                                    layout_kernels(),
                                    winograd_kernels(),
                                    pool_kernels(),
                                    row_kernels(),
                                    function_kernels()};

}  // namespace polyadic
