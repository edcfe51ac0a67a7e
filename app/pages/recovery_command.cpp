#include "app/pages/recovery_command.h"

#include "app/qt_paths.h"

#include <QStringList>

namespace secateur {

namespace {

QString commandNumber(double value)
{
    return QString::number(value, 'g', 12);
}

QString shellQuoted(QString text)
{
    return u"'"_qs + text.replace(u"'"_qs, u"'\\''"_qs) + u"'"_qs;
}

} // namespace

QString recoveryCommand(const QString &model, const QString &data, const RecoveryOptions &options)
{
    const RecoveryOptions usual;
    QStringList words{u"secateur-cli"_qs, u"recover"_qs, shellQuoted(model),   u"--data"_qs,
                      shellQuoted(data),  u"--kind"_qs,  qString(options.kind)};
    if (options.kind == "distill")
        words << u"--parent"_qs << shellQuoted(model);
    const auto add = [&](const QString &name, const QString &value, bool differs) {
        if (differs)
            words << name << value;
    };
    const auto number = [&](const QString &name, double value, double standard) {
        add(name, commandNumber(value), value != standard);
    };
    const auto flag = [&](const QString &name, bool on) {
        if (on)
            words << name;
    };
    words << u"--steps"_qs << QString::number(options.steps);
    number(u"--rank"_qs, options.rank, usual.rank);
    number(u"--alpha"_qs, options.alpha, usual.alpha);
    number(u"--dropout"_qs, options.dropout, usual.dropout);
    flag(u"--rslora"_qs, options.rsLora);
    QStringList targets;
    for (const std::string &target : options.targets)
        targets += qString(target);
    add(u"--targets"_qs, targets.join(u","_qs), options.targets != usual.targets);
    number(u"--batch-tokens"_qs, options.batchTokens, usual.batchTokens);
    number(u"--max-length"_qs, options.maxLength, usual.maxLength);
    flag(u"--split-long"_qs, options.splitLong);
    number(u"--held-out"_qs, options.heldOut, usual.heldOut);
    number(u"--held-out-every"_qs, options.heldOutEvery, usual.heldOutEvery);
    number(u"--patience"_qs, options.patience, usual.patience);
    number(u"--distill-weight"_qs, options.distillWeight, usual.distillWeight);
    number(u"--temperature"_qs, options.temperature, usual.temperature);
    number(u"--learning-rate"_qs, options.learningRate, usual.learningRate);
    add(u"--schedule"_qs, qString(options.schedule), options.schedule != usual.schedule);
    number(u"--warmup"_qs, options.warmupFraction, usual.warmupFraction);
    number(u"--weight-decay"_qs, options.weightDecay, usual.weightDecay);
    number(u"--clip-norm"_qs, options.clipNorm, usual.clipNorm);
    flag(u"--autocast"_qs, options.autocast);
    flag(u"--recompute"_qs, options.recompute);
    number(u"--checkpoint-steps"_qs, options.checkpointSteps, usual.checkpointSteps);
    words << u"--seed"_qs << QString::number(options.seed) << u"--out"_qs << u"DIR"_qs;
    return words.join(u' ');
}

} // namespace secateur
