// R times the best rank-one term of what is left: the baseline that NLS is there to beat.
#pragma once

#include "problem.h"

namespace polyadic::solver {

// Ignores the initial values: each term starts from the fibres through the largest entry of the residual.
StopReason greedy(Problem& problem, Factors& factors);

struct RankOne {
  double weight;
  std::int64_t sweeps;  // 0 where the tensor is zero
};

// term ← the vectors of norm 1 (the last one updated has the sign) of a best rank-one approximation of `tensor`, found
// by alternating from the fibres through its largest entry. mttkrp: of the tensor's shape and rank 1.
RankOne best_rank_one(Gemm& gemm, Mttkrp& mttkrp, const std::vector<double>& tensor, std::int64_t most_sweeps,
                      Factors& term);

}  // namespace polyadic::solver
