#pragma once

#include "backend/core/model_config.h"
#include "backend/core/pruning_plan.h"

#include <QObject>
#include <QString>

namespace secateur {

/// "3 blocks", "1 KV group", "12 034 channels".
QString countedUnits(UnitKind kind, std::int64_t count);

/// The one selection of units to remove, shared by every view, and the units that are locked against removal.
///
/// Whoever edits calls one function per user action, and exactly one changed() follows (none when nothing changes).
/// During a drag (beginGesture … endGesture) changed() comes as often as the selection changes, committed() once at the
/// end: an undo command is made on committed(), a what-if run started there, views repaint on changed().
/// Locked units cannot be selected: edits leave them out. A locked block protects its channels and groups; a locked
/// channel or group protects its block.
class PruneSelection : public QObject {
    Q_OBJECT
public:
    explicit PruneSelection(QObject *parent = nullptr);

    /// The dense model; clears selection and locks. Units outside of it are ignored by every edit.
    void setConfig(const ModelConfig &config);
    const ModelConfig &config() const { return m_config; }
    bool hasModel() const { return !m_config.blocks.empty(); }
    std::int64_t unitCount(UnitKind kind) const; ///< of the dense model

    const UnitSet &selected() const { return m_selected; }
    const UnitSet &locked() const { return m_locked; }
    /// Units that other views outline, because the pointer is over them somewhere.
    const UnitSet &highlighted() const { return m_highlighted; }

    void setSelected(const UnitSet &units);
    /// Replaces the units of the kinds that are in \a units, or of \a kind when it is empty; other kinds stay.
    void replace(const UnitSet &units, UnitKind kind);
    void add(const UnitSet &units);
    void remove(const UnitSet &units);
    /// Removes \a units when all that can be selected of them are, adds them otherwise.
    void toggle(const UnitSet &units);
    void invert(UnitKind kind);
    void clear();

    void lock(const UnitSet &units); ///< deselects them too
    void unlock(const UnitSet &units);
    void toggleLock(const UnitSet &units); ///< unlocks when all are locked
    /// Undo: sets both without committed().
    void restore(const UnitSet &selected, const UnitSet &locked);
    void setHighlighted(const UnitSet &units);

    void beginGesture();
    void endGesture();
    bool inGesture() const { return m_gesture > 0; }

    /// \a units that exist and are not protected by a lock.
    UnitSet selectable(const UnitSet &units) const;
    bool isProtected(UnitKind kind, int block, int unit = 0) const;
    /// "3 blocks selected", "2 blocks, 384 channels selected", "Nothing selected".
    QString headline() const;

Q_SIGNALS:
    void configChanged();
    void changed();
    void lockedChanged();
    void highlightedChanged();
    /// One user action is complete; \a selectedBefore and \a lockedBefore are the state to go back to.
    void committed(const secateur::UnitSet &selectedBefore, const secateur::UnitSet &lockedBefore);

private:
    ModelConfig m_config;
    UnitSet m_selected;
    UnitSet m_locked;
    UnitSet m_highlighted;
    UnitSet m_gestureSelected;
    UnitSet m_gestureLocked;
    int m_gesture = 0;

    UnitSet existing(const UnitSet &units) const;
    void apply(UnitSet selected, UnitSet locked, bool commit);
};

} // namespace secateur
