#include "app/error_text.h"

#include <QCoreApplication>

#include <array>
#include <utility>

namespace secateur {

QString errorTitle(ErrorKind kind)
{
    switch (kind) {
    case ErrorKind::InvalidArgument:
        return QCoreApplication::translate("Errors", "This cannot be done as asked");
    case ErrorKind::NotFound:
        return QCoreApplication::translate("Errors", "Not found");
    case ErrorKind::BadFormat:
        return QCoreApplication::translate("Errors", "The file is damaged or not what it says");
    case ErrorKind::UnsupportedVersion:
        return QCoreApplication::translate("Errors", "Written by a newer version");
    case ErrorKind::Unsupported:
        return QCoreApplication::translate("Errors", "Not supported");
    case ErrorKind::Io:
        return QCoreApplication::translate("Errors", "The file cannot be read or written");
    case ErrorKind::OutOfMemory:
        return QCoreApplication::translate("Errors", "Not enough memory");
    case ErrorKind::Numeric:
        return QCoreApplication::translate("Errors", "A number is not finite");
    case ErrorKind::CheckFailed:
        return QCoreApplication::translate("Errors", "A check after the step did not hold");
    case ErrorKind::Internal:
        break;
    }
    return QCoreApplication::translate("Errors", "Internal error");
}

QString stageText(const std::string &stage)
{
    static constexpr std::array<std::pair<const char *, const char *>, 10> kStages = {{
        {"load.header", QT_TRANSLATE_NOOP("Stages", "reading headers")},
        {"model.load", QT_TRANSLATE_NOOP("Stages", "loading weights")},
        {"analyze.sweep", QT_TRANSLATE_NOOP("Stages", "tokens swept")},
        {"prune.apply", QT_TRANSLATE_NOOP("Stages", "taking units out")},
        {"prune.check", QT_TRANSLATE_NOOP("Stages", "checking the result")},
        {"recover.data", QT_TRANSLATE_NOOP("Stages", "preparing data")},
        {"recover.step", QT_TRANSLATE_NOOP("Stages", "step")},
        {"evaluate.sample", QT_TRANSLATE_NOOP("Stages", "sample")},
        {"perplexity", QT_TRANSLATE_NOOP("Stages", "perplexity")},
        {"export.check", QT_TRANSLATE_NOOP("Stages", "loading again and comparing")},
    }};
    for (const auto &[id, text] : kStages) {
        if (stage == id)
            return QCoreApplication::translate("Stages", text);
    }
    return QString::fromStdString(stage);
}

} // namespace secateur
