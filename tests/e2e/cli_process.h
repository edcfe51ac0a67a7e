#pragma once

#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>
#include <QStringList>

namespace secateur {

/// What one run of the command line program left behind.
struct CliResult {
    int exitCode = -1;
    bool crashed = true;
    QByteArray output;
    QByteArray error;

    /// Standard output as one JSON document; empty when it is not one.
    QJsonObject json() const { return QJsonDocument::fromJson(output).object(); }
    QByteArray text() const
    {
        return "exit " + QByteArray::number(exitCode) + "\n" + output.left(2000) + error.left(2000);
    }
};

inline CliResult finishedResult(QProcess &process, int limitMs)
{
    CliResult result;
    if (!process.waitForFinished(limitMs)) {
        process.kill();
        process.waitForFinished();
        result.error = "did not end in time: " + process.readAllStandardError();
        return result;
    }
    result.crashed = process.exitStatus() != QProcess::NormalExit;
    result.exitCode = process.exitCode();
    result.output = process.readAllStandardOutput();
    result.error = process.readAllStandardError();
    return result;
}

/// Runs secateur-cli. \a limits: shell commands such as "ulimit -f 20" that hold for this process alone.
inline CliResult runCli(const QStringList &arguments, const QString &limits = {}, int limitMs = 110'000)
{
    QProcess process;
    const QString program = QStringLiteral(SECATEUR_CLI);
    if (limits.isEmpty())
        process.start(program, arguments);
    else
        process.start(QStringLiteral("/bin/sh"),
                      QStringList({QStringLiteral("-c"), limits + QStringLiteral("; exec \"$0\" \"$@\""), program})
                          + arguments);
    return finishedResult(process, limitMs);
}

} // namespace secateur
