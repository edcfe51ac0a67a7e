"""Rates of a peer's work as the JSON of secateur_bench; every peer script prints one such object as its last line."""
import resource
import statistics


def processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(arguments, work, program, unit, once):
    """once() -> (units, seconds, fingerprint[, processor seconds]), called --runs times; else those of the whole call."""
    rates, processor_rates = [], []
    for _ in range(arguments.runs):
        before = processor_seconds()
        units, seconds, fingerprint, *processor = once()
        rates.append(units / seconds)
        processor_rates.append(units / (processor[0] if processor else processor_seconds() - before))
    return {"work": work, "program": program, "unit": unit, "threads": arguments.threads, "dtype": arguments.dtype,
            "median": statistics.median(rates), "min": min(rates), "max": max(rates), "n": len(rates),
            "per_processor_second": statistics.median(processor_rates),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "fingerprint": fingerprint}
