#include "app/models/record_tree_model.h"

#include "app/qt_paths.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

namespace secateur {

struct RecordTreeModel::Node {
    enum class Kind { Model, Plan, Run };
    Kind kind = Kind::Model;
    QString id;
    QString name;
    QString toolTip;
    qint64 parameters = 0;
    Node *parent = nullptr;
    int row = 0;
    std::vector<std::unique_ptr<Node>> children;

    Node *append(Kind childKind, const std::string &childId)
    {
        auto child = std::make_unique<Node>();
        child->kind = childKind;
        child->id = qString(childId);
        child->parent = this;
        child->row = static_cast<int>(children.size());
        children.push_back(std::move(child));
        return children.back().get();
    }
};

RecordTreeModel::RecordTreeModel(Workspace *workspace, QObject *parent)
    : QAbstractItemModel(parent), m_workspace(workspace), m_root(std::make_unique<Node>())
{
    connect(workspace, &Workspace::documentChanged, this, &RecordTreeModel::rebuild);
    connect(workspace, &Workspace::weightsChanged, this, &RecordTreeModel::rebuild);
    connect(workspace, &Workspace::recordsChanged, this, &RecordTreeModel::rebuild);
    rebuild();
}

RecordTreeModel::~RecordTreeModel() = default;

void RecordTreeModel::rebuild()
{
    beginResetModel();
    m_root = std::make_unique<Node>();
    if (m_workspace->hasModel()) {
        const SessionModel &model = m_workspace->session().model;
        Node *node = m_root->append(Node::Kind::Model, "dense");
        node->name = qString(model.alias);
        node->parameters = model.parameters;
        node->toolTip = tr("%1\n%2 parameters, %n block(s)", nullptr, model.config.layers())
                            .arg(node->name, exactCount(model.parameters));
        appendRuns(node, {});
        appendPlans(node, {}, 0);
    }
    endResetModel();
    Q_EMIT rebuilt();
}

void RecordTreeModel::appendRuns(Node *parent, const std::string &plan)
{
    for (const RunRecord &run : m_workspace->session().runs) {
        if (run.plan != plan)
            continue;
        Node *node = parent->append(Node::Kind::Run, run.id);
        node->name = qString(run.name);
        node->parameters = parent->parameters;
        node->toolTip = run.losses.empty()
            ? node->name
            : tr("%1\n%2: loss %3 → %4")
                  .arg(node->name, qString(run.dataName), significant(run.losses.front(), 3),
                       significant(run.losses.back(), 3));
    }
}

void RecordTreeModel::appendPlans(Node *parent, const std::string &parentPlan, int depth)
{
    constexpr int kMaxDepth = 64; // a file may name a plan as its own ancestor
    if (depth > kMaxDepth)
        return;
    for (const PruningPlan &plan : m_workspace->session().plans) {
        // A child whose parent is gone stands below the model.
        const std::string known = m_workspace->plan(plan.parent) ? plan.parent : std::string();
        if (known != parentPlan)
            continue;
        Node *node = parent->append(Node::Kind::Plan, plan.id);
        const Budget budget = computeBudget(m_workspace->config(), plan.removed);
        node->name = qString(plan.name);
        node->parameters = budget.parametersAfter;
        node->toolTip = node->name;
        if (!plan.removed.blocks.empty())
            node->toolTip += u"\n"_qs + tr("blocks %1").arg(qString(describeBlocks(plan.removed.blocks)));
        node->toolTip += u"\n"_qs
            + tr("sparsity: nominal %1 · parameters %2 · FLOPs %3")
                  .arg(percent(budget.nominalSparsity), percent(budget.parameterSparsity),
                       percent(budget.flopsSparsity));
        appendRuns(node, plan.id);
        appendPlans(node, plan.id, depth + 1);
    }
}

RecordTreeModel::Node *RecordTreeModel::nodeOf(const QModelIndex &index) const
{
    return index.isValid() ? static_cast<Node *>(index.internalPointer()) : m_root.get();
}

QModelIndex RecordTreeModel::indexOf(const QString &id) const
{
    std::vector<Node *> open{m_root.get()};
    while (!open.empty()) {
        Node *node = open.back();
        open.pop_back();
        if (node != m_root.get() && node->id == id)
            return createIndex(node->row, 0, node);
        for (const auto &child : node->children)
            open.push_back(child.get());
    }
    return {};
}

QString RecordTreeModel::idOf(const QModelIndex &index) const
{
    return index.isValid() ? nodeOf(index)->id : QString();
}

QModelIndex RecordTreeModel::index(int row, int column, const QModelIndex &parent) const
{
    if (!hasIndex(row, column, parent))
        return {};
    return createIndex(row, column, nodeOf(parent)->children[static_cast<std::size_t>(row)].get());
}

QModelIndex RecordTreeModel::parent(const QModelIndex &index) const
{
    if (!index.isValid())
        return {};
    Node *parent = nodeOf(index)->parent;
    return parent == nullptr || parent == m_root.get() ? QModelIndex() : createIndex(parent->row, 0, parent);
}

int RecordTreeModel::rowCount(const QModelIndex &parent) const
{
    return parent.column() > 0 ? 0 : static_cast<int>(nodeOf(parent)->children.size());
}

int RecordTreeModel::columnCount(const QModelIndex & /*parent*/) const
{
    return ColumnCount;
}

QVariant RecordTreeModel::data(const QModelIndex &index, int role) const
{
    if (!index.isValid())
        return {};
    const Node *node = nodeOf(index);
    switch (role) {
    case Qt::DisplayRole:
        return index.column() == Name ? node->name : shortCount(static_cast<double>(node->parameters));
    case Qt::EditRole:
        return node->name;
    case Qt::ToolTipRole:
        return index.column() == Parameters ? exactCount(node->parameters) : node->toolTip;
    case Qt::TextAlignmentRole:
        return index.column() == Parameters ? QVariant(Qt::AlignRight | Qt::AlignVCenter) : QVariant();
    case Qt::FontRole:
        return index.column() == Parameters ? QVariant(numberFont()) : QVariant();
    case Qt::DecorationRole:
        if (index.column() != Name)
            return {};
        if (node->kind == Node::Kind::Plan)
            return themedIcon(u"prune"_qs);
        if (node->kind == Node::Kind::Run)
            return themedIcon(u"recover"_qs);
        return themedIcon(u"model"_qs, m_workspace->modelKind() == u"think" ? IconColor::Think : IconColor::Instruct);
    case IdRole:
        return node->id;
    default:
        return {};
    }
}

bool RecordTreeModel::setData(const QModelIndex &index, const QVariant &value, int role)
{
    if (!index.isValid() || role != Qt::EditRole || nodeOf(index)->kind == Node::Kind::Model)
        return false;
    // The rename comes back as recordsChanged(), which rebuilds the tree; the editor has to be closed by then.
    const QString id = nodeOf(index)->id;
    const QString name = value.toString();
    QMetaObject::invokeMethod(
        this, [this, id, name] { m_workspace->rename(id, name); }, Qt::QueuedConnection);
    return true;
}

QVariant RecordTreeModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole && section == Parameters)
        return QVariant(Qt::AlignRight | Qt::AlignVCenter);
    if (role == Qt::DisplayRole)
        return section == Name ? tr("Name") : tr("Parameters");
    return {};
}

Qt::ItemFlags RecordTreeModel::flags(const QModelIndex &index) const
{
    if (!index.isValid())
        return Qt::NoItemFlags;
    Qt::ItemFlags flags = Qt::ItemIsEnabled | Qt::ItemIsSelectable;
    if (index.column() == Name && nodeOf(index)->kind != Node::Kind::Model)
        flags |= Qt::ItemIsEditable;
    return flags;
}

} // namespace secateur
