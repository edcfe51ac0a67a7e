#pragma once

#include "app/subject.h"
#include "backend/core/session.h"
#include "backend/text/chat_template.h"
#include "backend/text/tokenizer.h"
#include "widgets/models/prune_selection.h"

#include <QMap>
#include <QObject>
#include <QStringList>
#include <QUndoStack>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace secateur {

/// What is known of the weights while they are on the compute thread.
struct LoadedWeights {
    std::filesystem::path path;
    QString device; ///< "cpu"
    QString dtype; ///< "f32"
    QString source; ///< "Q4_1 GGUF"
    std::shared_ptr<const Tokenizer> tokenizer; ///< null: none
    std::shared_ptr<const ChatTemplate> chatTemplate; ///< null: none
};

/// Records taken out together, with the places they go back to.
struct RemovedRecords {
    std::vector<std::pair<std::size_t, PruningPlan>> plans;
    std::vector<std::pair<std::size_t, RunRecord>> runs;
    std::vector<std::pair<std::size_t, EvaluationReportPtr>> reports;
};

/// The open document: session values, the shared selection, undo, and whether the weights are there. GUI thread.
///
/// Selection, locks and plans are edited through undo commands; maps, runs and reports are records: they are added and
/// stay.
class Workspace : public QObject {
    Q_OBJECT
public:
    explicit Workspace(QObject *parent = nullptr);
    ~Workspace() override;

    bool hasModel() const { return !m_session.model.config.blocks.empty(); }
    bool hasWeights() const { return m_weights.has_value(); }
    const LoadedWeights *weights() const { return m_weights ? &*m_weights : nullptr; }
    const Session &session() const { return m_session; }
    const ModelConfig &config() const { return m_session.model.config; }
    std::shared_ptr<const AnalysisResult> analysis() const { return m_session.analysis; }
    std::shared_ptr<const AnalysisResult> twin() const { return m_session.twin; } ///< the sibling's maps; null: none
    /// The session as it would be saved: with selection, locks and history.
    Session snapshot() const;

    QString name() const; ///< of the session file, else of the model
    QString filePath() const { return m_filePath; } ///< empty: never saved
    /// Folder of this document alone, for what jobs write before there is a session file. Made on first use.
    QString scratchFolder() const { return m_scratch; }
    bool isDirty() const;
    int unsavedSteps() const;
    /// "instruct" or "think", as far as the name and the template tell.
    QString modelKind() const;
    /// The name of a model alone says that it thinks first.
    static bool isThinkName(const QString &name);

    PruneSelection *selection() const { return m_selection; }
    QUndoStack *undoStack() const { return m_undo; }

    void openModel(const SessionModel &model, LoadedWeights weights);
    void openSession(Session session, const QString &path);
    void forgetFile(); ///< what is open becomes a new document; saving asks where
    void setWeights(LoadedWeights weights);
    void close();
    /// Nothing was edited since \a undoIndex and \a revision, both read when the save began: the document is clean.
    void markSaved(const QString &path, int undoIndex, int revision);
    int revision() const { return m_revision; }

    void setAnalysis(std::shared_ptr<const AnalysisResult> analysis);
    /// Maps of the sibling; null takes them away.
    void setTwin(std::shared_ptr<const AnalysisResult> twin);
    void addRun(const RunRecord &run, const std::filesystem::path &adapter);
    /// A report of the same model under the same protocol takes in the new tasks.
    void addReport(const EvaluationReport &report);
    void setView(const std::string &key, const std::string &value);
    std::string view(const std::string &key) const;

    std::string reserveId(const std::string &prefix); ///< "plan" → "plan-3"; never given twice
    const PruningPlan *plan(const std::string &id) const;
    const RunRecord *run(const std::string &id) const;
    QStringList subjectIds() const; ///< dense first, then plans with their runs
    QStringList reportSubjectIds() const; ///< these, and behind the dense model the siblings that have reports
    Subject subject(const QString &id) const;
    QString subjectName(const QString &id) const;
    UnitSet removedOf(const QString &id) const;
    std::filesystem::path adapterFolder(const std::string &run) const;
    /// Adapters that were written before the session had a file; saving moves them beside it.
    const std::map<std::string, std::filesystem::path> &adapters() const { return m_adapters; }
    void setAdapters(std::map<std::string, std::filesystem::path> adapters, const std::vector<RunRecord> &runs);

    QString currentSubject() const { return m_current; }
    void setCurrentSubject(const QString &id);

    // Undoable edits.
    void createPlan(const PruningPlan &plan);
    void rename(const QString &id, const QString &name);
    void removeRecord(const QString &id);
    bool hasRecords(const QString &id) const; ///< runs or reports depend on it

    // Used by the undo commands only.
    void insertPlan(const PruningPlan &plan);
    RemovedRecords take(const QString &id);
    void putBack(const RemovedRecords &records);
    void applyName(const QString &id, const QString &name);

Q_SIGNALS:
    void documentChanged(); ///< another document, or none
    void weightsChanged();
    void analysisChanged();
    void recordsChanged(); ///< plans, runs or reports
    void currentSubjectChanged();
    void dirtyChanged();
    void recorded(const QString &line); ///< a readable step

private:
    Session m_session;
    QString m_filePath;
    QString m_scratch;
    std::optional<LoadedWeights> m_weights;
    PruneSelection *m_selection;
    QUndoStack *m_undo;
    QString m_current = QStringLiteral("dense");
    std::map<std::string, int> m_counters;
    std::map<std::string, std::filesystem::path> m_adapters;
    int m_revision = 0; ///< grows with every record
    int m_savedRevision = 0;
    int m_lastUndoIndex = 0;

    void reset();
    void record(const QString &line);
    void noteUndoIndex(int index);
    bool belongsTo(const std::string &subject, const std::string &ancestor) const;
};

} // namespace secateur
