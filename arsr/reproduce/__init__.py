"""The whole study as a graph of jobs, each an `arsr` command, which Snakemake runs on one machine or a cluster.

study       what is asked for
holdings    what there is: data sets, videos, weights
graph       the jobs that are left, and the results that cannot be had
costs       what they cost on this machine
engine      Snakemake, and one job of it
pages       the plan, the progress and the report, as one page
tables      accuracies and paired tests, from all scores
"""
