#!/usr/bin/env bash
# Trains on the nodes of your existing SLURM allocation, with torchrun and without submitit:
#
#   salloc --nodes 2 --gpus-per-node 4 --cpus-per-task 32 --time 4:00:00
#   slurm/torchrun.sh launch/train_gan.py --resolution low --direction remove
#
# It can also be the last line of your own sbatch script. Each node has one rank per GPU, or RANKS_PER_NODE ranks. The
# port is computed from the job's id and its number of restarts, so that a requeued job does not meet processes of its
# earlier start. MASTER_PORT overrides it.
set -euo pipefail
: "${SLURM_JOB_ID:?run this inside salloc or sbatch; on one machine use: python launch/... --cluster local}"

restarts=${SLURM_RESTART_COUNT:-0}
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=${MASTER_PORT:-$((10000 + (SLURM_JOB_ID * 101 + restarts) % 22768))}
ranks=${RANKS_PER_NODE:-${SLURM_GPUS_ON_NODE:-1}}
cores=${SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK}

exec srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --kill-on-bad-exit=1 $cores \
    "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node="$ranks" --max-restarts=0 \
    --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID.$restarts" --rdzv-endpoint="$head:$port" \
    "$@" --cluster none
