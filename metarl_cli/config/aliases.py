"""What other programs call our settings, so that who types their names is told ours.

The names are those of Stable-Baselines3 and its zoo, CleanRL, RLlib, garage, and of the codes that
came with the papers. Several keys stand for a name where algorithms differ: those that the chosen
one has are told.
"""

from __future__ import annotations

from collections.abc import Iterable

from metarl_cli.core.words import suggest

# Their commands, and what is typed here
COMMANDS_OF_OTHERS = {
    "resume": "train resume=latest",
    "continue": "train resume=latest",
    "test": "eval checkpoint=latest",
    "evaluate": "eval checkpoint=latest",
    "enjoy": "film checkpoint=latest",
    "play": "film checkpoint=latest",
    "plot": "report RUN RUN",
    "sweep": "train -m seed=0,1,2",
    "ls": "list",
    "benchmark": "bench",
    "optimize": "tune KEY=RANGE to=FOLDER",
    "search": "tune KEY=RANGE to=FOLDER",
}

# Our keys, the likeliest first, and the names by which others know them.
NAMES = {
    ("algo.ppo.learning_rate", "algo.inner.step_size", "algo.sac.learning_rate"): (
        "lr learning_rate policy_lr pi_lr actor_lr outer_lr meta_lr lr_policy step_size stepsize"
    ),
    ("algo.learning_rate", "algo.outer_step_size", "algo.q_learning.learning_rate"): (
        "lr learning_rate outer_lr meta_lr outer_step_size"
    ),
    ("algo.elbo.learner.learning_rate", "algo.supervision.learner.learning_rate"): (
        "lr_vae vae_lr encoder_lr"
    ),
    ("algo.inner.step_size",): "inner_lr fast_lr adapt_lr adaptation_lr alpha inner_step_size",
    ("algo.inner.steps",): (
        "inner_steps num_inner_steps num_inner_grad_steps num_updates adaptation_steps adapt_steps "
        "num_adaptation_steps n_adapt num_steps_inner"
    ),
    ("budget.env_steps",): (
        "total_timesteps total_steps total_env_steps timesteps n_timesteps num_timesteps max_steps "
        "num_env_steps num_frames frames env_steps max_timesteps train_steps training_steps "
        "total_frames stop_timesteps timesteps_total num_iterations n_itr n_iter iterations"
    ),
    ("budget.eval_every",): "eval_freq eval_interval eval_frequency eval_every test_interval",
    ("budget.checkpoint_every",): (
        "save_freq save_interval save_frequency checkpoint_freq checkpoint_interval save_every"
    ),
    ("algo.num_tasks", "algo.envs_per_task"): (
        "n_envs num_envs n_env num_env nenvs num_processes n_parallel num_workers n_workers "
        "num_vec_envs parallel_envs"
    ),
    ("algo.num_tasks", "algo.meta_batch"): (
        "meta_batch_size meta_batch num_tasks n_tasks tasks_per_batch tasks_per_iteration"
    ),
    ("algo.envs_per_task",): (
        "fast_batch_size shots num_shots rollouts_per_meta_task rollouts_per_task "
        "episodes_per_task adapt_batch_size"
    ),
    ("algo.episodes",): (
        "episodes_per_trial num_episodes n_episodes max_rollouts_per_task episodes_per_meta_episode"
    ),
    (
        "algo.inner.discount",
        "algo.ppo.discount",
        "algo.sac.discount",
        "algo.q_learning.discount",
    ): "gamma discount discount_factor policy_gamma",
    ("algo.inner.gae_lambda", "algo.ppo.gae_lambda"): "lam lambda lambd gae_lambda gaelambda gae",
    ("algo.sac.target_rate", "algo.q_learning.target_rate"): (
        "tau polyak target_update_rate soft_target_tau target_rate"
    ),
    ("env.horizon",): (
        "n_steps num_steps rollout_steps rollout_length horizon max_episode_steps episode_length "
        "max_path_length max_ep_len max_episode_length policy_num_steps time_limit nsteps"
    ),
    ("algo.ppo.clip", "algo.clip"): "clip_range clip_coef clip_param clip_ratio clip_eps cliprange",
    ("algo.ppo.entropy_coef",): (
        "ent_coef entropy_coef ent_coeff entropy_coeff entropy_bonus policy_entropy_coef "
        "entropy_weight"
    ),
    ("algo.sac.temperature",): "ent_coef entropy_coef temperature sac_alpha init_temperature",
    ("algo.ppo.value_coef",): (
        "vf_coef value_coef value_loss_coef vf_loss_coeff policy_value_loss_coef critic_coef"
    ),
    ("algo.ppo.max_grad_norm", "algo.q_learning.max_grad_norm"): (
        "max_grad_norm grad_clip clip_grad gradient_clip grad_norm policy_max_grad_norm"
    ),
    ("algo.trpo.max_kl",): "max_kl target_kl trust_region max_kl_increment delta kl_target",
    ("algo.ppo.epochs", "algo.epochs"): (
        "n_epochs num_epochs epochs update_epochs ppo_epoch ppo_epochs ppo_num_epochs num_sgd_iter"
    ),
    ("algo.ppo.num_minibatches",): (
        "n_minibatches num_minibatches num_minibatch num_mini_batch nminibatches mini_batches "
        "ppo_num_minibatch minibatch_size batch_size"
    ),
    ("algo.batch", "algo.q_learning.batch", "algo.fisher_fraction"): (
        "batch_size batch minibatch_size train_batch_size"
    ),
    ("algo.gradient_steps", "algo.q_learning.updates"): (
        "gradient_steps train_freq updates_per_step num_train_steps_per_itr"
    ),
    ("algo.replay_capacity", "algo.q_learning.buffer_trials", "algo.elbo.learner.buffer_trials"): (
        "buffer_size replay_size replay_buffer_size buffer_capacity replay_capacity size_vae_buffer"
    ),
    ("algo.collection.warmup_steps", "algo.q_learning.min_trials", "algo.elbo.warmup_steps"): (
        "learning_starts warmup warmup_steps start_steps num_initial_steps precollect_len"
    ),
    ("algo.latent_dim", "algo.bottleneck.latent_dim"): "latent_dim z_dim latent_size latent",
    ("algo.initial_std",): "init_std initial_std log_std_init log_std action_std policy_init_std",
    ("network.hidden", "network.width"): (
        "hidden hidden_sizes hidden_size hidden_dim hidden_dims hidden_units net_arch layers "
        "num_layers fcnet_hiddens policy_layers width"
    ),
    ("network.activation",): "activation activation_fn nonlinearity fcnet_activation",
    ("env",): (
        "env_id env_name envname environment environment_id gym_id task task_name env_type domain "
        "env_config"
    ),
    ("algo",): "algorithm algo_name alg algorithm_name method agent agent_name learner_name",
    ("network",): "policy policy_type model arch architecture net net_type policy_class encoder",
    ("experiment",): "preset exp config config_file conf_file cfg hyperparams",
    ("env.tasks.num_train",): "num_train_tasks n_train_tasks train_tasks num_train",
    ("env.tasks.num_test",): (
        "num_test_tasks n_test_tasks n_eval_tasks num_eval_tasks test_tasks num_test"
    ),
    ("meta_test.episodes", "algo.meta_test.episodes"): (
        "test_steps num_test_updates eval_adaptation_steps num_eval_updates"
    ),
    ("meta_test.envs_per_task",): (
        "n_eval_episodes eval_episodes num_eval_episodes num_evals n_eval_envs"
    ),
    ("seed",): "random_seed rng_seed torch_seed",
    ("threads",): (
        "num_threads n_threads n_jobs n_cpu num_cpus num_cpu cpus torch_threads nproc num_gpus"
    ),
    ("device",): "cuda gpu use_gpu use_cuda torch_device no_cuda gpus gpu_id accelerator",
    (
        "logger.wandb.mode",
        "logger",
    ): "wandb track use_wandb wandb_mode log_wandb with_wandb logging",
    ("logger.wandb.project", "logger"): "wandb_project wandb_project_name project project_name",
    ("logger.wandb.entity", "logger"): "wandb_entity entity team",
    ("logger.wandb.group", "logger"): "wandb_group group group_name",
    ("logger.wandb.tags", "logger"): "wandb_tags tags",
    ("name",): "exp_name run_name experiment_name wandb_name run_id job_name",
    ("checkpoint", "resume"): (
        "load load_path load_model load_from restore restore_path resume_from resume_path ckpt "
        "ckpt_path checkpoint_path checkpoint_dir model_path pretrained run trained_agent"
    ),
    ("hydra.run.dir",): (
        "output_dir log_dir logdir log_folder save_dir save_path results_dir out_dir outdir "
        "output folder tensorboard_log"
    ),
    ("plugins",): "gym_packages custom_env packages imports",
}
MOST = 2  # keys told for one name
SEEDS = "Did you mean seed? Several seeds are a sweep: -m seed=0,1,2"
# Said in place of a key
IN_WORDS = {
    "n_seeds": SEEDS,
    "num_seeds": SEEDS,
    "seeds": SEEDS,
    **dict.fromkeys(
        ("render", "capture_video", "record_video", "save_video", "video"),
        "Pictures of a trial: metarl film checkpoint=latest",
    ),
}


def hint(wrong: str, known: Iterable[str]) -> str:
    """Return ` Did you mean ...?` for an unknown key; nothing if nothing is close.

    Args:
        wrong: the key as typed; of a dotted one, the last part may be another program's name.
        known: the dotted keys and the groups that can be set.
    """
    known = list(known)
    word = plain(wrong.rpartition(".")[2])
    if word in IN_WORDS:
        return f" {IN_WORDS[word]}."
    if keys := meant(wrong, known):
        return f" Did you mean {' or '.join(keys)}?"
    return suggest(wrong, known)


def meant(name: str, known: Iterable[str]) -> list[str]:
    """Return our keys for what another program calls `name`; none if nothing fits."""
    word, possible = plain(name.rpartition(".")[2]), {*known, "hydra.run.dir"}
    rows = [keys for keys, names in NAMES.items() if word in names.split()]
    fitting = [key for keys in rows for key in keys if key in possible]
    return list(dict.fromkeys(fitting))[:MOST]


def plain(name: str) -> str:
    """Return a name without case, leading hyphens and the difference of - and _."""
    return name.lower().strip("-").replace("-", "_")
