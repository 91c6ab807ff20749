"""Runs one CP solver of Python from given starts and records its error over time.

    run.py JOB.json      { peer, tensor (.npy), starts ([.npz]), iterations, seconds }
    run.py --versions

Prints JSON on standard output. A trace is [[seconds, relative error], …]: the seconds are of the solver alone, the
errors are those that it computes itself each iteration; `error` is recomputed here from the factors.
Threads are those that the environment grants (OPENBLAS_NUM_THREADS, NUMBA_NUM_THREADS).
"""

import contextlib
import importlib.metadata
import io
import json
import re
import sys
import time

import numpy as np


class Timeout(Exception):
    pass


class Recorder:
    """The trace of one run; stops the run when its time is over."""

    def __init__(self, limit):
        self.limit, self.trace, self.begin = limit, [], time.perf_counter()
        self.factors = None

    def add(self, error, factors=None):
        now = time.perf_counter() - self.begin
        self.trace.append([now, float(error)])
        if factors is not None:
            self.factors = factors
        if now > self.limit:
            raise Timeout


def tensorly(tensor, start, iterations, recorder, linesearch):
    import tensorly as tl
    from tensorly.decomposition import parafac

    def callback(model, error):
        recorder.add(error, list(model[1]))

    model = tl.cp_tensor.CPTensor((np.ones(start[0].shape[1]), [f.copy() for f in start]))
    result = parafac(tensor, start[0].shape[1], n_iter_max=iterations, init=model, tol=1e-12, linesearch=linesearch, callback=callback)
    weights, factors = result
    return [factors[0] * weights] + list(factors[1:])


def pytensorlab(tensor, start, iterations, recorder, method):
    import pytensorlab as tl
    from pytensorlab.optimization import OptimizationProgressLogger

    norm = np.linalg.norm(tensor)
    log = OptimizationProgressLogger.log

    def timed(self, z, fval, **kwargs):
        log(self, z, fval, **kwargs)
        recorder.add(np.sqrt(2 * max(fval, 0)) / norm, z)

    OptimizationProgressLogger.log = timed
    kinds = {"cpd_nls": tl.CPDNlsOptions, "cpd_als": tl.CPDAlsOptions}
    options = kinds[method](max_iterations=iterations, tol_relfval=1e-14, tol_relstep=1e-10, display=0)
    try:
        model, _ = getattr(tl, method)(tensor, tl.PolyadicTensor([f.copy() for f in start]), options)
        return list(model.factors)
    finally:
        OptimizationProgressLogger.log = log


def tensorfox(tensor, start, iterations, recorder):
    with contextlib.redirect_stdout(io.StringIO()):
        import TensorFox as tfx
        from TensorFox import GaussNewton

    step = GaussNewton.compute_step

    def timed(*arguments):
        result = step(*arguments)
        recorder.add(result[-1], [f.copy() for f in result[1]])
        return result

    class options:
        maxiter = iterations
        tol = 1e-12
        tol_step = 1e-10
        tol_improv = 1e-12
        tol_grad = 1e-12
        tol_mlsvd = -1
        initialization = [f.copy() for f in start]
        display = 0

    GaussNewton.compute_step = timed
    try:
        factors, _ = tfx.cpd(tensor, start[0].shape[1], options)
        return factors
    finally:
        GaussNewton.compute_step = step


class FitReader(io.TextIOBase):
    """pyttb tells its fit, 1 − error, in print only."""

    def __init__(self, recorder):
        self.recorder = recorder

    def write(self, text):
        found = re.search(r"Iter\s+\d+: f = (\S+)", text)
        if found:
            self.recorder.add(1 - float(found.group(1)))
        return len(text)


def pyttb(tensor, start, iterations, recorder):
    import pyttb as ttb

    model = ttb.ktensor([np.asfortranarray(f) for f in start])
    with contextlib.redirect_stdout(FitReader(recorder)):
        result, _, _ = ttb.cp_als(ttb.tensor(tensor), start[0].shape[1], stoptol=1e-12, maxiters=iterations, init=model)
    return [result.factor_matrices[0] * result.weights] + list(result.factor_matrices[1:])


PEERS = {
    "tensorly": lambda *a: tensorly(*a, linesearch=False),
    "tensorly-linesearch": lambda *a: tensorly(*a, linesearch=True),
    "pytensorlab": lambda *a: pytensorlab(*a, method="cpd_nls"),
    "pytensorlab-als": lambda *a: pytensorlab(*a, method="cpd_als"),
    "tensorfox": tensorfox,
    "pyttb": pyttb,
}


def relative_error(tensor, factors):
    """‖T − M‖ / ‖T‖ in blocks of the first mode, so that no second tensor is made."""
    rest = factors[-1]
    for factor in reversed(factors[1:-1]):
        rest = (factor[:, None, :] * rest[None, :, :]).reshape(-1, rest.shape[1])
    flat = tensor.reshape(tensor.shape[0], -1)
    squares = sum(np.sum((flat[i : i + 16] - factors[0][i : i + 16] @ rest.T) ** 2) for i in range(0, flat.shape[0], 16))
    return float(np.sqrt(squares) / np.linalg.norm(flat))


def warm_up(peer, order):
    """Numba compiles and modules are imported before anything is timed."""
    random = np.random.default_rng(0)
    start = [random.standard_normal((4, 3)) for _ in range(order)]
    with contextlib.suppress(Timeout):
        PEERS[peer](random.standard_normal((4,) * order), start, 4, Recorder(60.0))


def run(job):
    tensor = np.load(job["tensor"]).astype(np.float64)
    warm_up(job["peer"], tensor.ndim)
    runs = []
    for file in job["starts"]:
        with np.load(file) as arrays:
            start = [arrays[f"factor_{n}"].astype(np.float64) for n in range(tensor.ndim)]
        recorder = Recorder(job["seconds"])
        entry = {"trace": recorder.trace}
        recorder.begin = time.perf_counter()
        try:
            factors = PEERS[job["peer"]](tensor, start, job["iterations"], recorder)
        except Timeout:
            entry["stopped"] = True
            factors = recorder.factors
        except Exception as failure:  # a peer that gives up is a result too
            entry["failure"] = f"{type(failure).__name__}: {failure}"[:200]
            factors = recorder.factors
        if isinstance(factors, list):
            entry["error"] = relative_error(tensor, factors)
        elif hasattr(factors, "factors"):
            entry["error"] = relative_error(tensor, list(factors.factors))
        elif recorder.trace:
            entry["error"] = recorder.trace[-1][1]
        runs.append(entry)
    return {"runs": runs}


def versions():
    names = ["numpy", "scipy", "pyTensorlab", "TensorLy", "TensorFox", "pyttb"]
    return {name: importlib.metadata.version(name) for name in names}


if __name__ == "__main__":
    if sys.argv[1:] == ["--versions"]:
        print(json.dumps(versions()))
    else:
        with open(sys.argv[1]) as file:
            print(json.dumps(run(json.load(file))))
