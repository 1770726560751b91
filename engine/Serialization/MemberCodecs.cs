using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using Orleans;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>Writes and reads one member of a <typeparamref name="TOwner"/>.</summary>
internal abstract class MemberCodec<TOwner>(SerializedMember member, WireKind kind)
{
    public int Level => member.Level;

    public ulong Key => member.Key;

    public WireKind Kind => kind;

    public abstract void Write(ref TOwner owner, WireWriter writer);

    public abstract void Read(ref TOwner owner, WireReader reader);

    public static MemberCodec<TOwner>[] Of(IEnumerable<SerializedMember> members) =>
        [.. members.Select(member => (MemberCodec<TOwner>)Activator.CreateInstance(
            typeof(MemberCodec<,>).MakeGenericType(typeof(TOwner), member.Type), member)!)];
}

internal sealed class MemberCodec<TOwner, T> : MemberCodec<TOwner>
{
    private readonly Getter _get;
    private readonly Setter _set;

    public MemberCodec(SerializedMember member) : base(member, Codecs.KindOf(typeof(T)))
    {
        if (member.Field is null && member.Property is not { CanRead: true, CanWrite: true })
            throw new InvalidOperationException($"{typeof(TOwner)}.{member.Name} has an [Id], but no field of its own and no get and set");
        var owner = typeof(TOwner);
        var get = new DynamicMethod($"Get {member.Name}", typeof(T), [owner.MakeByRefType()], typeof(Codecs).Module, true);
        var il = get.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        if (!owner.IsValueType) il.Emit(OpCodes.Ldind_Ref);
        if (member.Field is { } read) il.Emit(OpCodes.Ldfld, read);
        else il.Emit(owner.IsValueType ? OpCodes.Call : OpCodes.Callvirt, member.Property!.GetMethod!);
        il.Emit(OpCodes.Ret);
        _get = get.CreateDelegate<Getter>();

        var set = new DynamicMethod($"Set {member.Name}", typeof(void), [owner.MakeByRefType(), typeof(T)], typeof(Codecs).Module, true);
        il = set.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        if (!owner.IsValueType) il.Emit(OpCodes.Ldind_Ref);
        il.Emit(OpCodes.Ldarg_1);
        if (member.Field is { } write) il.Emit(OpCodes.Stfld, write);
        else il.Emit(owner.IsValueType ? OpCodes.Call : OpCodes.Callvirt, member.Property!.SetMethod!);
        il.Emit(OpCodes.Ret);
        _set = set.CreateDelegate<Setter>();
    }

    private delegate T Getter(ref TOwner owner);

    private delegate void Setter(ref TOwner owner, T value);

    public override void Write(ref TOwner owner, WireWriter writer)
    {
        if (Kind != WireKind.Block)
        {
            Wire<T>.Write(writer, _get(ref owner));
            return;
        }

        var start = writer.BeginBlock();
        Wire<T>.Write(writer, _get(ref owner));
        writer.EndBlock(start);
    }

    public override void Read(ref TOwner owner, WireReader reader)
    {
        var end = Kind == WireKind.Block ? reader.Block() + reader.Position : -1;
        _set(ref owner, Wire<T>.Read(reader));
        if (end >= 0 && reader.Position != end) throw new SerializerException("A member is not as long as it is said to be");
    }
}

/// <summary>
/// The members of an object, by type of its chain of base types: how many, then each with its number and its kind. A number that is not
/// known is stepped over, and a member that is not there keeps its default, so that two adjacent versions of a program understand each other.
/// </summary>
internal sealed class MembersCodec<T>
{
    private readonly MemberCodec<T>[][] _levels;

    public MembersCodec()
    {
        _levels = new MemberCodec<T>[SerializedMembers.LevelsOf(typeof(T))][];
        var members = MemberCodec<T>.Of(SerializedMembers.Of(typeof(T)));
        for (var level = 0; level < _levels.Length; level++) _levels[level] = [.. members.Where(m => m.Level == level)];
    }

    public void Write(ref T owner, WireWriter writer)
    {
        writer.Byte((byte)_levels.Length);
        foreach (var members in _levels)
        {
            writer.Varint((ulong)members.Length);
            foreach (var member in members)
            {
                writer.Varint((member.Key << 3) | (byte)member.Kind);
                member.Write(ref owner, writer);
            }
        }
    }

    public void Read(ref T owner, WireReader reader)
    {
        if (reader.Byte() != _levels.Length) throw new SerializerException($"{typeof(T)} has another chain of base types where it was written");
        foreach (var members in _levels)
        {
            var next = 0;
            var count = reader.Count(0);
            for (var i = 0; i < count; i++)
            {
                var head = reader.Varint();
                var kind = (WireKind)(head & 7);
                var member = Find(members, head >> 3, ref next);
                if (member is null) reader.Skip(kind);
                else if (member.Kind == kind) member.Read(ref owner, reader);
                else throw new SerializerException($"A member of {typeof(T)} is of another type where it was written");
            }
        }
    }

    private static MemberCodec<T>? Find(MemberCodec<T>[] members, ulong key, ref int next)
    {
        for (var i = 0; i < members.Length; i++)
        {
            var at = (next + i) % members.Length;
            if (members[at].Key != key) continue;
            next = at + 1;
            return members[at];
        }

        return null;
    }
}

/// <summary>A class with [GenerateSerializer], or a tuple, whose fields simply follow each other.</summary>
internal sealed class ClassCodec<T> : ObjectCodec<T>
    where T : class
{
    private readonly MembersCodec<T>? _members;
    private readonly MemberCodec<T>[] _fields = [];
    private readonly bool _hasConstructor = typeof(T).GetConstructor(Type.EmptyTypes) is not null;

    public ClassCodec()
    {
        if (Copiers.IsTuple(typeof(T))) _fields = MemberCodec<T>.Of(Copiers.Fields(typeof(T)).Select(field => new SerializedMember(field, null)));
        else _members = new();
    }

    protected override bool IsOther(T value) => value.GetType() != typeof(T);

    protected override void WriteContent(WireWriter writer, T value)
    {
        _members?.Write(ref value, writer);
        foreach (var field in _fields) field.Write(ref value, writer);
    }

    protected override T ReadContent(WireReader reader, int place)
    {
        var value = _hasConstructor ? Activator.CreateInstance<T>() : (T)RuntimeHelpers.GetUninitializedObject(typeof(T));
        reader.Register(place, value);
        _members?.Read(ref value, reader);
        foreach (var field in _fields) field.Read(ref value, reader);
        return value;
    }
}

/// <summary>A struct with [GenerateSerializer], or a tuple or <c>Immutable</c>, whose fields simply follow each other.</summary>
internal sealed class StructCodec<T> : Codec<T>
    where T : struct
{
    private readonly MembersCodec<T>? _members;
    private readonly MemberCodec<T>[] _fields = [];

    public StructCodec()
    {
        var type = typeof(T);
        if (type.IsGenericType && (Copiers.IsTuple(type) || Copiers.IsImmutableWrapper(type)))
            _fields = MemberCodec<T>.Of(Copiers.Fields(type).Select(field => new SerializedMember(field, null)));
        else _members = new();
    }

    public override void Write(WireWriter writer, T value)
    {
        writer.Enter();
        _members?.Write(ref value, writer);
        foreach (var field in _fields) field.Write(ref value, writer);
        writer.Leave();
    }

    public override T Read(WireReader reader)
    {
        var value = default(T);
        reader.Enter();
        _members?.Read(ref value, reader);
        foreach (var field in _fields) field.Read(ref value, reader);
        reader.Leave();
        return value;
    }
}
