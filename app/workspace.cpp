#include "app/workspace.h"

#include "app/commands/prune_commands.h"
#include "app/output_folders.h"
#include "app/qt_paths.h"

#include <QFileInfo>
#include <QUuid>

#include <algorithm>

namespace secateur {

namespace {

/// "plan-12" → 12; 0 when it is no such id.
int numberOfId(const std::string &id, const std::string &prefix)
{
    if (id.compare(0, prefix.size() + 1, prefix + "-") != 0)
        return 0;
    return qString(id.substr(prefix.size() + 1)).toInt();
}

} // namespace

Workspace::Workspace(QObject *parent)
    : QObject(parent), m_selection(new PruneSelection(this)), m_undo(new QUndoStack(this))
{
    connect(m_selection, &PruneSelection::committed, this,
            [this](const UnitSet &selectedBefore, const UnitSet &lockedBefore) {
                m_undo->push(new SelectionCommand(m_selection, selectedBefore, lockedBefore));
            });
    connect(m_undo, &QUndoStack::indexChanged, this, &Workspace::noteUndoIndex);
    connect(m_undo, &QUndoStack::cleanChanged, this, &Workspace::dirtyChanged);
}

Workspace::~Workspace()
{
    m_undo->disconnect(this);
}

Session Workspace::snapshot() const
{
    Session session = m_session;
    session.selection = m_selection->selected();
    session.locked = m_selection->locked();
    return session;
}

QString Workspace::name() const
{
    if (!m_filePath.isEmpty())
        return QFileInfo(m_filePath).completeBaseName();
    return qString(m_session.model.alias);
}

bool Workspace::isDirty() const
{
    return hasModel() && (!m_undo->isClean() || m_revision != m_savedRevision);
}

int Workspace::unsavedSteps() const
{
    const int clean = qMax(0, m_undo->cleanIndex());
    return qAbs(m_undo->index() - clean) + (m_revision - m_savedRevision);
}

bool Workspace::isThinkName(const QString &name)
{
    const QString lower = name.toLower();
    return lower.contains(u"think") || lower.contains(u"reason") || lower.contains(u"-r1");
}

QString Workspace::modelKind() const
{
    if (isThinkName(qString(m_session.model.alias)))
        return u"think"_qs;
    if (m_weights && m_weights->chatTemplate && m_weights->chatTemplate->source().find("<think>") != std::string::npos)
        return u"think"_qs;
    return u"instruct"_qs;
}

void Workspace::reset()
{
    m_session = {};
    m_weights.reset();
    m_filePath.clear();
    m_scratch = scratchRoot() + u"/"_qs + QUuid::createUuid().toString(QUuid::WithoutBraces);
    m_counters.clear();
    m_adapters.clear();
    m_current = u"dense"_qs;
    m_lastUndoIndex = 0;
    m_undo->clear();
    m_revision = m_savedRevision = 0;
}

void Workspace::openModel(const SessionModel &model, LoadedWeights weights)
{
    reset();
    m_session.model = model;
    m_weights = std::move(weights);
    m_selection->setConfig(model.config);
    m_undo->clear();
    Q_EMIT documentChanged();
    Q_EMIT dirtyChanged();
    Q_EMIT recorded(tr("Open %1").arg(qString(model.alias)));
}

void Workspace::openSession(Session session, const QString &path)
{
    reset();
    m_session = std::move(session);
    m_filePath = path;
    const auto folder = toPath(QFileInfo(path).absolutePath());
    for (const RunRecord &run : m_session.runs) {
        if (!run.adapterPath.empty())
            m_adapters[run.id] = folder / run.adapterPath;
    }
    m_selection->setConfig(m_session.model.config);
    m_selection->restore(m_session.selection, m_session.locked);
    m_undo->clear();
    Q_EMIT documentChanged();
    Q_EMIT dirtyChanged();
    Q_EMIT recorded(tr("Open %1").arg(QFileInfo(path).fileName()));
}

void Workspace::forgetFile()
{
    m_filePath.clear();
    Q_EMIT documentChanged();
}

void Workspace::setWeights(LoadedWeights weights)
{
    m_weights = std::move(weights);
    Q_EMIT weightsChanged();
}

void Workspace::close()
{
    reset();
    m_selection->setConfig({});
    Q_EMIT documentChanged();
    Q_EMIT dirtyChanged();
}

void Workspace::markSaved(const QString &path, int undoIndex, int revision)
{
    m_filePath = path;
    if (m_undo->index() == undoIndex)
        m_undo->setClean();
    m_savedRevision = revision;
    Q_EMIT dirtyChanged();
}

void Workspace::record(const QString &line)
{
    ++m_revision;
    m_session.history.push_back(line.toStdString());
    Q_EMIT recorded(line);
    Q_EMIT dirtyChanged();
}

void Workspace::noteUndoIndex(int index)
{
    for (; m_lastUndoIndex < index; ++m_lastUndoIndex)
        m_session.history.push_back(m_undo->text(m_lastUndoIndex).toStdString());
    for (; m_lastUndoIndex > index; --m_lastUndoIndex)
        m_session.history.push_back(tr("Undo: %1").arg(m_undo->text(m_lastUndoIndex - 1)).toStdString());
}

void Workspace::setAnalysis(std::shared_ptr<const AnalysisResult> analysis)
{
    m_session.analysis = std::move(analysis);
    const CalibrationRecord &calibration = m_session.analysis->calibration;
    const auto known = std::find_if(m_session.calibrations.begin(), m_session.calibrations.end(),
                                    [&](const CalibrationRecord &old) { return old.sha256 == calibration.sha256; });
    if (known == m_session.calibrations.end())
        m_session.calibrations.push_back(calibration);
    record(tr("Calibrate on %1").arg(qString(calibration.name)));
    Q_EMIT analysisChanged();
}

void Workspace::setTwin(std::shared_ptr<const AnalysisResult> twin)
{
    if (!twin && !m_session.twin)
        return;
    const QString line = twin ? tr("Compare with %1").arg(qString(twin->modelName))
                              : tr("Close the maps of %1").arg(qString(m_session.twin->modelName));
    m_session.twin = std::move(twin);
    record(line);
    Q_EMIT analysisChanged();
}

void Workspace::addRun(const RunRecord &run, const std::filesystem::path &adapter)
{
    m_session.runs.push_back(run);
    if (!adapter.empty())
        m_adapters[run.id] = adapter;
    record(tr("Recover: %1").arg(qString(run.name)));
    Q_EMIT recordsChanged();
}

void Workspace::addReport(const EvaluationReport &report)
{
    auto merged = std::make_shared<EvaluationReport>(report);
    const auto old = std::find_if(m_session.reports.begin(), m_session.reports.end(), [&](const auto &other) {
        return other->subject == report.subject && other->protocol == report.protocol;
    });
    if (old == m_session.reports.end()) {
        m_session.reports.push_back(std::move(merged));
    } else {
        merged->id = (*old)->id;
        merged->tasks = (*old)->tasks;
        for (const TaskReport &task : report.tasks) {
            const auto same = std::find_if(merged->tasks.begin(), merged->tasks.end(),
                                           [&](const TaskReport &other) { return other.task == task.task; });
            if (same == merged->tasks.end())
                merged->tasks.push_back(task);
            else if (task.n > 0 || same->n == 0)
                *same = task;
        }
        *old = std::move(merged);
    }
    record(tr("Evaluate %1").arg(qString(report.modelName)));
    Q_EMIT recordsChanged();
}

void Workspace::setView(const std::string &key, const std::string &value)
{
    m_session.views[key] = value;
}

std::string Workspace::view(const std::string &key) const
{
    const auto found = m_session.views.find(key);
    return found == m_session.views.end() ? std::string() : found->second;
}

std::string Workspace::reserveId(const std::string &prefix)
{
    int &last = m_counters[prefix];
    for (const PruningPlan &plan : m_session.plans)
        last = qMax(last, numberOfId(plan.id, prefix));
    for (const RunRecord &run : m_session.runs)
        last = qMax(last, numberOfId(run.id, prefix));
    for (const EvaluationReportPtr &report : m_session.reports)
        last = qMax(last, numberOfId(report->id, prefix));
    return prefix + "-" + QByteArray::number(++last).toStdString();
}

const PruningPlan *Workspace::plan(const std::string &id) const
{
    const auto found = std::find_if(m_session.plans.begin(), m_session.plans.end(),
                                    [&](const PruningPlan &plan) { return plan.id == id; });
    return found == m_session.plans.end() ? nullptr : &*found;
}

const RunRecord *Workspace::run(const std::string &id) const
{
    const auto found = std::find_if(m_session.runs.begin(), m_session.runs.end(),
                                    [&](const RunRecord &run) { return run.id == id; });
    return found == m_session.runs.end() ? nullptr : &*found;
}

QStringList Workspace::subjectIds() const
{
    QStringList ids;
    if (!hasModel())
        return ids;
    const auto appendRuns = [&](const std::string &plan) {
        for (const RunRecord &run : m_session.runs) {
            if (run.plan == plan)
                ids.append(qString(run.id));
        }
    };
    ids.append(u"dense"_qs);
    appendRuns({});
    for (const PruningPlan &plan : m_session.plans) {
        ids.append(qString(plan.id));
        appendRuns(plan.id);
    }
    return ids;
}

QStringList Workspace::reportSubjectIds() const
{
    QStringList ids = subjectIds();
    qsizetype place = 1;
    for (const EvaluationReportPtr &report : m_session.reports) {
        const QString id = qString(report->subject);
        if (report->subject.starts_with(kSiblingPrefix) && !ids.contains(id))
            ids.insert(qMin(place++, ids.size()), id);
    }
    return ids;
}

Subject Workspace::subject(const QString &id) const
{
    Subject subject;
    subject.name = m_session.model.alias;
    if (const RunRecord *record = run(id.toStdString())) {
        subject.id = record->id;
        subject.state = "recovered";
        subject.run = record->id;
        subject.adapter = adapterFolder(record->id);
        subject.name = record->name;
        if (const PruningPlan *base = plan(record->plan)) {
            subject.plan = *base;
            subject.name = base->name + " + " + record->name;
        }
    } else if (const PruningPlan *found = plan(id.toStdString())) {
        subject.id = found->id;
        subject.state = "pruned";
        subject.plan = *found;
        subject.name = found->name;
    } else if (const std::string key = id.toStdString(); key.starts_with(kSiblingPrefix)) {
        subject.id = key;
        subject.state = "sibling";
        subject.name = key.substr(std::string_view(kSiblingPrefix).size());
    }
    return subject;
}

QString Workspace::subjectName(const QString &id) const
{
    return qString(subject(id).name);
}

UnitSet Workspace::removedOf(const QString &id) const
{
    const Subject found = subject(id);
    return found.plan ? found.plan->removed : UnitSet();
}

std::filesystem::path Workspace::adapterFolder(const std::string &run) const
{
    const auto found = m_adapters.find(run);
    return found == m_adapters.end() ? std::filesystem::path() : found->second;
}

void Workspace::setAdapters(std::map<std::string, std::filesystem::path> adapters, const std::vector<RunRecord> &runs)
{
    m_adapters = std::move(adapters);
    for (RunRecord &run : m_session.runs) {
        const auto saved
            = std::find_if(runs.begin(), runs.end(), [&](const RunRecord &other) { return other.id == run.id; });
        if (saved != runs.end())
            run.adapterPath = saved->adapterPath;
    }
}

void Workspace::setCurrentSubject(const QString &id)
{
    const QString known = subjectIds().contains(id) ? id : u"dense"_qs;
    if (known == m_current)
        return;
    m_current = known;
    Q_EMIT currentSubjectChanged();
}

void Workspace::createPlan(const PruningPlan &plan)
{
    m_undo->push(new CreatePlanCommand(this, plan));
}

void Workspace::rename(const QString &id, const QString &name)
{
    const std::string key = id.toStdString();
    const PruningPlan *renamedPlan = plan(key);
    const RunRecord *renamedRun = run(key);
    const QString old = renamedPlan ? qString(renamedPlan->name) : renamedRun ? qString(renamedRun->name) : QString();
    if (old.isNull() || name.trimmed().isEmpty() || old == name.trimmed())
        return;
    m_undo->push(new RenameCommand(this, id, old, name.trimmed()));
}

void Workspace::removeRecord(const QString &id)
{
    const std::string key = id.toStdString();
    if (plan(key) || run(key))
        m_undo->push(new RemoveRecordCommand(this, id, subjectName(id)));
}

bool Workspace::belongsTo(const std::string &subject, const std::string &ancestor) const
{
    std::string id = subject;
    // Ids are unique and parents exist before their children, so the walk ends; the bound guards against a file that
    // says otherwise.
    for (std::size_t steps = 0; steps <= m_session.plans.size() + 1 && !id.empty(); ++steps) {
        if (id == ancestor)
            return true;
        if (const RunRecord *record = run(id))
            id = record->plan;
        else if (const PruningPlan *found = plan(id))
            id = found->parent;
        else
            return false;
    }
    return false;
}

bool Workspace::hasRecords(const QString &id) const
{
    const std::string key = id.toStdString();
    return std::any_of(m_session.runs.begin(), m_session.runs.end(),
                       [&](const RunRecord &record) { return belongsTo(record.id, key); })
        || std::any_of(m_session.reports.begin(), m_session.reports.end(),
                       [&](const EvaluationReportPtr &report) { return belongsTo(report->subject, key); });
}

void Workspace::insertPlan(const PruningPlan &plan)
{
    m_session.plans.push_back(plan);
    Q_EMIT recordsChanged();
}

RemovedRecords Workspace::take(const QString &id)
{
    const std::string key = id.toStdString();
    RemovedRecords removed;
    // Everything is looked up before anything goes: belongsTo() walks over the records.
    for (std::size_t i = 0; i < m_session.plans.size(); ++i) {
        if (belongsTo(m_session.plans[i].id, key))
            removed.plans.emplace_back(i, m_session.plans[i]);
    }
    for (std::size_t i = 0; i < m_session.runs.size(); ++i) {
        if (belongsTo(m_session.runs[i].id, key))
            removed.runs.emplace_back(i, m_session.runs[i]);
    }
    for (std::size_t i = 0; i < m_session.reports.size(); ++i) {
        if (belongsTo(m_session.reports[i]->subject, key))
            removed.reports.emplace_back(i, m_session.reports[i]);
    }
    const auto eraseFrom = [](auto &records, const auto &places) {
        for (auto place = places.rbegin(); place != places.rend(); ++place)
            records.erase(records.begin() + static_cast<std::ptrdiff_t>(place->first));
    };
    eraseFrom(m_session.plans, removed.plans);
    eraseFrom(m_session.runs, removed.runs);
    eraseFrom(m_session.reports, removed.reports);
    if (!subjectIds().contains(m_current))
        setCurrentSubject(u"dense"_qs);
    Q_EMIT recordsChanged();
    return removed;
}

void Workspace::putBack(const RemovedRecords &records)
{
    const auto insertInto = [](auto &target, const auto &places) {
        for (const auto &[index, value] : places)
            target.insert(target.begin() + static_cast<std::ptrdiff_t>(std::min(index, target.size())), value);
    };
    insertInto(m_session.plans, records.plans);
    insertInto(m_session.runs, records.runs);
    insertInto(m_session.reports, records.reports);
    Q_EMIT recordsChanged();
}

void Workspace::applyName(const QString &id, const QString &name)
{
    const std::string key = id.toStdString();
    for (PruningPlan &plan : m_session.plans) {
        if (plan.id == key)
            plan.name = name.toStdString();
    }
    for (RunRecord &run : m_session.runs) {
        if (run.id == key)
            run.name = name.toStdString();
    }
    // The name in a report is a label, not a result: it follows.
    for (EvaluationReportPtr &report : m_session.reports) {
        const std::string label = subject(qString(report->subject)).name;
        if (report->modelName != label && belongsTo(report->subject, key)) {
            auto copy = std::make_shared<EvaluationReport>(*report);
            copy->modelName = label;
            report = std::move(copy);
        }
    }
    Q_EMIT recordsChanged();
}

} // namespace secateur
