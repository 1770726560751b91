using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using Orleans;
using Orleans.Runtime;
using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>
/// An exception: its type, message, trace and inner exception, and its members with [Id] if it has [GenerateSerializer]. It arrives as
/// its own type if the program that reads it knows the type and the message comes out the same, else as an <see cref="OrleansException"/>
/// that says both.
/// </summary>
internal sealed class ExceptionCodec<T> : Codec<T>
    where T : Exception
{
    public override void Write(WireWriter writer, T value) => ExceptionCodec.Write(writer, value, 0);

    public override T Read(WireReader reader) => ExceptionCodec.Read(reader, 0) switch
    {
        null => null!,
        T typed => typed,
        var other => throw new SerializerException($"A {other.GetType()} stands where a {typeof(T)} is expected"),
    };
}

internal static class ExceptionCodec
{
    private const int InnerMax = 16;
    private const int TraceMax = 16_384;   // characters

    private static readonly ConstructorInfo Initialize = typeof(Exception).GetConstructor(Type.EmptyTypes)!;

    private interface IMembers
    {
        void Write(WireWriter writer, Exception value);

        void Read(WireReader reader, Exception value);
    }

    public static void Write(WireWriter writer, Exception? value, int depth)
    {
        if (value is null || depth > InnerMax)
        {
            writer.Byte(WireHeader.Null);
            return;
        }

        var type = value.GetType();
        writer.Byte(WireHeader.Here);
        writer.Name(WireTypes.NameOf(type));
        writer.Text(value.Message);
        var trace = value.StackTrace;
        writer.Text(trace?.Length > TraceMax ? trace[..TraceMax] : trace);
        writer.Signed(value.HResult);
        Write(writer, value.InnerException, depth + 1);
        var start = writer.BeginBlock();
        if (SerializedMembers.IsSerializable(type)) MembersOf(type).Write(writer, value);
        writer.EndBlock(start);
    }

    public static Exception? Read(WireReader reader, int depth)
    {
        if (reader.Byte() == WireHeader.Null) return null;
        if (depth > InnerMax) throw new SerializerException($"Exceptions are nested more than {InnerMax} deep");
        reader.Charge(512);
        var name = reader.Name();
        var message = reader.Text() ?? "";
        var trace = reader.Text();
        var hresult = checked((int)reader.Signed());
        var inner = Read(reader, depth + 1);
        var length = reader.Block();
        var end = reader.Position + length;
        var exception = Rebuild(reader, name, message, inner, length > 0);
        reader.Take(end - reader.Position);
        exception ??= new OrleansException($"{name}: {message}", inner);
        exception.HResult = hresult;
        if (trace is not null) ExceptionDispatchInfo.SetRemoteStackTrace(exception, trace);
        return exception;
    }

    private static Exception? Rebuild(WireReader reader, string name, string message, Exception? inner, bool hasMembers)
    {
        if (WireTypes.FindException(name) is not { } type) return null;
        var exception = (Exception)RuntimeHelpers.GetUninitializedObject(type);
        Initialize.Invoke(exception, null);
        Message(exception) = message;
        Inner(exception) = inner;
        if (hasMembers && SerializedMembers.IsSerializable(type)) MembersOf(type).Read(reader, exception);
        try
        {
            return exception.Message == message ? exception : null;
        }
        catch (Exception)
        {
            // A message that is made of what did not cross.
            return null;
        }
    }

    private static IMembers MembersOf(Type type) => (IMembers)typeof(Members<>).MakeGenericType(type).GetField("Instance")!.GetValue(null)!;

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_message")]
    private static extern ref string? Message(Exception exception);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_innerException")]
    private static extern ref Exception? Inner(Exception exception);

    private sealed class Members<T> : IMembers
        where T : Exception
    {
        public static readonly IMembers Instance = new Members<T>();

        private readonly MembersCodec<T> _members = new();

        public void Write(WireWriter writer, Exception value)
        {
            var typed = (T)value;
            _members.Write(ref typed, writer);
        }

        public void Read(WireReader reader, Exception value)
        {
            var typed = (T)value;
            _members.Read(ref typed, reader);
        }
    }
}
