"""The environment variables that clrun and its scripts read: `clrun help environment`.

A test compares them with the sources.
"""

from __future__ import annotations

from collections.abc import Mapping

OF_CLRUN: Mapping[str, str] = {
    "CLRUN_DATA": "the folder of all data where benchmark.data_root is null; else data/ in the "
    "user's cache folder for clrun",
    "CLRUN_CACHE": "the folder of decoded images; else images/ in the user's cache folder for "
    "clrun",
    "XDG_CACHE_HOME": "the user's cache folder, on Linux; else ~/.cache",
    "TORCH_HOME": "the folder of weights that torchvision fetches; else ~/.cache/torch",
    "OMP_NUM_THREADS": "CPU threads of PyTorch where device.threads is null",
    "CUDA_VISIBLE_DEVICES": "the GPUs that the jobs of a sweep share, one each; else all",
    "CXX": "the C++ compiler of device.compile=true; else g++ (clang++ on macOS)",
    "HYDRA_FULL_ERROR": "1 is the same as --debug: the traceback of an error is shown",
    "COMP_LINE": "the line to complete, from the shell (clrun -sc install=bash)",
    "CUBLAS_WORKSPACE_CONFIG": "cuBLAS's; with device.deterministic=true :4096:8 unless it is set",
    "KINETO_LOG_LEVEL": "the profiler's; 6 in clrun profile unless it is set",
    "TORCH_CPP_LOG_LEVEL": "PyTorch's; ERROR in clrun profile unless it is set",
    "MLFLOW_DISABLE_TELEMETRY": "MLflow's; true with logger=mlflow unless it is set",
    "WANDB_ERROR_REPORTING": "Weights & Biases'; false with logger=wandb unless it is set",
    "RAY_USAGE_STATS_ENABLED": "Ray's; 0 with launcher=ray unless it is set",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "Ray's; 0 where launcher=ray starts Ray on this machine, "
    "unless it is set",
}
"""A key may name any other: ${oc.env:NAME}."""

OF_SCRIPTS: Mapping[str, str] = {
    "CLRUN_VENV": "the folder of the environment that scripts make; else .venv in the checkout",
    "CLRUN_PYTHON": "the Python that it is made with; else python3.12, 3.11 or 3.13",
    "CLRUN_PYTHON_BIN": "a Python that has all that is needed: no environment is made",
    "CLRUN_AVALANCHE": "the folder of Avalanche's environment (scripts/bench); else avalanche in "
    "that of the scripts",
    "CLRUN_TEST_DEVICE": "the device that tests of strategies run on (scripts/prove_cuda); else "
    "cpu",
    "PYTHONPATH": "folders of code, which scripts put clrun's before",
}
"""Those of the checkout's scripts and tests, besides the ones above."""

INNER = ("CLRUN_STARTED_BY", "CLRUN_PROVE_SWEEP")
"""By which processes of clrun know each other; nobody else sets them."""
