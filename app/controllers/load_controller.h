#pragma once

#include "app/app_services.h"
#include "app/workspace.h"
#include "backend/core/model_info.h"
#include "backend/core/run_config.h"

#include <QObject>
#include <QString>

#include <functional>

namespace secateur {

/// The model that \a file belongs to: the folder for config.json, an index or a safetensors file, else the file itself.
QString modelArgument(const QString &file);

/// Brings weights into memory: opens a model as a new document, or finds the weights of the open session.
class LoadController : public QObject {
    Q_OBJECT
public:
    explicit LoadController(const AppServices &services, QObject *parent = nullptr);

    bool isLoading() const { return m_loading > 0; }
    /// \a argument: a folder, a file in it, a GGUF file, or "bundled:smollm2". Headers first, then the memory question,
    /// then the weights; the document changes only when all of it went well.
    void openModel(const QString &argument);
    /// The weights of the open session at \a argument; a model with another digest is refused, naming both.
    void loadWeights(const QString &argument);
    void locateWeights(); ///< asks where they are
    /// A PEFT adapter on the dense model, as a run of its own.
    void openAdapter(const QString &folder);

Q_SIGNALS:
    void loadingChanged();
    void modelOpened(const QString &path);

private:
    struct Inspected;
    AppServices m_services;
    int m_loading = 0;

    void changeLoading(int by);
    void inspect(const QString &argument, std::function<void(const Inspected &)> next);
    void load(const QString &argument, const QString &name, const ComputeSettings &settings, const std::string &digest,
              bool newDocument);
};

} // namespace secateur
