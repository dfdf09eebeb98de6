"""Names that people know from other tools (Avalanche, Mammoth, Lightning), and ours for the same.

A name is looked up in lower case, without dashes, underscores and blanks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

KEYS = {
    "strategy.train_epochs": "epochs n_epochs num_epochs max_epochs nb_epochs train_epochs",
    "strategy.train_mb_size": "batch_size train_batch_size bs mb_size train_mb_size",
    "strategy.eval_mb_size": "eval_batch_size test_batch_size val_batch_size eval_mb_size",
    "strategy.memory_mb_size": "minibatch_size batch_size_mem buffer_batch_size replay_batch_size",
    "strategy.mem_size": "buffer_size memory_size max_size mem_size buffer memory num_exemplars",
    "strategy.rm_sz": "rm_size latent_memory_size rm_sz",
    "strategy.lr": "learning_rate base_lr step_size lr",
    "strategy.momentum": "optim_mom sgd_momentum momentum",
    "strategy.l2": "weight_decay optim_wd wd l2",
    "strategy.optimizer": "optim optimizer",
    "strategy.schedule": "scheduler lr_scheduler sched lrs schedule",
    "strategy.schedule_milestones": "lr_milestones milestones",
    "strategy.schedule_factor": "gamma lr_gamma sched_gamma",
    "strategy.criterion": "loss loss_fn criterion",
    "strategy.eval_every": "val_every eval_epochs check_val_every_n_epoch eval_every",
    "strategy.plugins": "plugins",
    "seed": "random_seed manual_seed torch_seed global_seed",
    "run_name": "name exp_name experiment_name wandb_name conf_name notes",
    "output_root": "output_dir out_dir output save_dir log_dir default_root_dir results_path",
    "log_every": "log_every_n_steps log_interval print_every",
    "benchmark": "dataset data scenario_name stream",
    "benchmark.n_experiences": "n_tasks num_tasks nb_tasks tasks n_exps n_experiences",
    "benchmark.first_experience_classes": "initial_classes base_classes first_task_classes",
    "benchmark.data_root": "data_dir data_path dataset_root base_path dataroot data_root",
    "benchmark.class_order": "fixed_class_order permute_classes shuffle_classes class_order",
    "benchmark.image_size": "img_size resize input_size resolution image_size",
    "benchmark.augment": "augmentation augmentations transform train_transform augment",
    "benchmark.limit_per_class": "samples_per_class shots limit_train_batches limit_per_class",
    "benchmark.validation_fraction": "validation val_size val_split validation_size",
    "model": "net network backbone",
    "model.arch": "arch architecture",
    "model.pretrained": "pretrain weights checkpoint pretrained",
    "strategy": "method algorithm algo cl_strategy",
    "storage_policy": "policy buffer_policy storage",
    "device": "gpu cuda accelerator gpus devices gpu_id use_gpu",
    "device.threads": "num_threads n_threads cpu_threads num_workers threads",
    "launcher.workers": "n_jobs n_workers max_workers parallel workers",
    "launcher.jobs_per_gpu": "trials_per_gpu per_gpu jobs_per_gpu",
    "sweep.max_jobs": "max_jobs max_trials",
    "sweep.on_error": "fail_fast stop_on_error keep_going on_error",
    "sweep.retries": "max_retries max_failures retries",
    "sweep.time_limit": "timeout timeout_min max_time walltime time_limit",
    "device.precision": "amp fp16 mixed_precision half precision",
    "device.index": "device_id cuda_device",
    "device.deterministic": "cudnn_deterministic deterministic",
}
"""Our key -> what else it is called; its own last part where people leave the group out."""

OPTIONS = {
    "strategy=replay": "er experience_replay rehearsal exemplar_replay",
    "strategy=naive": "finetune finetuning fine_tuning sgd vanilla ft lower_bound baseline",
    "strategy=joint": "joint_training multitask offline upper_bound iid",
    "strategy=cumulative": "cumul cumulative_training",
    "strategy=der strategy.beta=0.5": "derpp der++ dark_experience_replay_pp",
    "strategy=ar1": "latent_replay ar1_star ar1star ar1free cwr cwr_star cwr_plus cwr+ cwr*",
    "strategy=er_ace": "ace eracl",
    "storage_policy=reservoir": "reservoir_sampling reservoir_buffer",
    "storage_policy=class_balanced": "class_balanced_buffer classbalanced balanced",
    "storage_policy=greedy_balanced": "greedy greedy_sampler greedy_balancing",
    "storage_policy=experience_balanced": "task_balanced experience_balanced_buffer",
    "selection=herding": "icarl herding_selection",
    "selection=random": "uniform random_selection",
    "benchmark=split_mnist": "mnist seq_mnist",
    "benchmark=split_fashion_mnist": "fashion_mnist fmnist split_fmnist seq_fmnist",
    "benchmark=split_cifar10": "cifar10 seq_cifar10",
    "benchmark=split_cifar100": "cifar100 seq_cifar100",
    "benchmark=split_tiny_imagenet": "tiny_imagenet tinyimg seq_tinyimg split_tinyimagenet",
    "benchmark=permuted_mnist": "perm_mnist pmnist",
    "benchmark=rotated_mnist": "rot_mnist",
    "benchmark=core50_nc": "core50 split_core50",
    "benchmark=core50_nicv2_391": "core50_nicv2 nicv2 nicv2_391",
    "benchmark=folder": "image_folder imagefolder images directory",
    "benchmark=csv": "filelist file_list table",
    "model=mlp": "simple_mlp mnistmlp fc linear",
    "model=cnn": "simple_cnn convnet conv",
    "model=slim_resnet18": "reduced_resnet18 slimresnet small_resnet18",
    "model=mobilenet_v1": "mobilenet",
    "device=cuda": "gpu nvidia rocm",
    "device=mps": "metal apple m1",
    "eval=full": "all every",
}
"""Our choice -> what else it is called."""

VALUES = {
    "fp16": "16 float16 half 16_mixed",
    "bf16": "bfloat16 bf16_mixed",
    "fp32": "32 float32 full 32_true",
    "cross_entropy": "ce crossentropy crossentropyloss",
    "binary_cross_entropy": "bce bcewithlogits bcewithlogitsloss",
    "cosine": "cosine_annealing cos cosineannealinglr",
    "step": "multistep multisteplr steplr",
    "restarts": "warm_restarts cosineannealingwarmrestarts sgdr",
    "nc": "class_il class_incremental new_classes classil",
    "ni": "domain_il domain_incremental new_instances domainil",
    "shuffled": "random shuffle permuted",
}
"""Our value -> what else it is called."""

TORCHVISION = re.compile(
    r"(wide_)?res(net|next)\d|mobilenet_v[23]|vgg\d|efficientnet_|vit_|densenet\d|convnext_|swin_"
    r"|squeezenet|shufflenet|regnet_|alexnet|googlenet|mnasnet|inception_v3|maxvit"
)


def _plain(name: object) -> str:
    return re.sub(r"[-_\s]", "", str(name).lower())


def _by_name(table: dict[str, str]) -> list[tuple[str, str]]:
    return [(_plain(name), ours) for ours, names in table.items() for name in names.split()]


def usual_key(name: str) -> str | None:
    """Our key for what another tool calls `name`; the last part of a key with dots decides."""
    return dict(reversed(_by_name(KEYS))).get(_plain(name.rpartition(".")[2]))


def usual_option(group: str, name: str) -> str | None:
    """The words for what another tool calls `name` in this group: `strategy=replay` for er."""
    if group == "device" and (found := re.fullmatch(r"(?:cuda|gpu)?:?(\d+)", name)):
        return f"device=cuda device.index={found[1]}"
    for known, ours in _by_name(OPTIONS):
        if known == _plain(name) and ours.startswith(f"{group}="):
            return ours
    if group == "model" and TORCHVISION.match(name.lower()):
        return f"model=torchvision model.arch={name.lower()}"
    return None


def usual_value(name: object, allowed: Sequence[str]) -> str | None:
    """The allowed value that another tool calls `name`."""
    for known, ours in _by_name(VALUES):
        if known == _plain(name) and ours in allowed:
            return ours
    return None
